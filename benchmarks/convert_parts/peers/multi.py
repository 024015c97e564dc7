"""Opening all files of the workload as one xarray dataset, as lazily and as cheaply as xarray can."""

from pathlib import Path

import xarray as xr

from convert_parts.corpus import files


def open_all(source: Path, records: int) -> xr.Dataset:
    """(member, time, …), a dask chunk for each file's share of a variable.

    Missing values stay what they are in the file, but for packed fields, which have to be unpacked.
    """
    whole = xr.open_mfdataset(
        [[str(path) for path in member] for member in files(source)],
        combine="nested",
        concat_dim=["member", "time"],
        data_vars="all",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
        decode_times=False,
        mask_and_scale=source.name == "pk",
        chunks={"time": records},
    )
    for name in whole.variables:
        whole[name].encoding.clear()
    return whole
