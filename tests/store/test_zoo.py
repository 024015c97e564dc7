"""Every file of the zoo: its values are netCDF4-python's, or it is refused for what its catalogue says."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from support import REPOSITORY
from support_zoo import difference, netcdf_variables

from astrohpc.clock import SystemClock
from astrohpc.errors import ConfigError
from astrohpc.store.convert import convert
from astrohpc.store.ranks import Alone
from astrohpc.store.settings import StoreSettings
from astrohpc.sweep.harvest import request_for

ZOO = Path(os.environ.get("ASTROHPC_ZOO") or REPOSITORY.parent / "shared" / "data" / "netcdf_zoo")
CATALOG = ZOO / "CATALOG.json"
# NetCDF-C gives memory that nobody wrote for these: they were never written, and filling was off.
UNDEFINED = {"f03tst_open_mem.nc": {"var2"}, "bad_missing_data.nc": {"temp"}}


def entries() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(CATALOG.read_text()) if CATALOG.is_file() else []
    return [entry for entry in found if (ZOO / entry["file"]).is_file()]


def bears_out(entry: dict[str, Any]) -> bool:
    """Whether the catalogue knows why nothing of a file can be stored."""
    odd = {"compound", "vlen"} & set(entry["tags"])
    return bool(odd) or entry["netcdf4_python"] != "ok" or not entry["nvars"]


def outcome(entry: dict[str, Any], store: Path) -> tuple[str, bool]:
    """What came of a file, and whether that is right."""
    path = ZOO / entry["file"]
    try:
        report = convert(
            request_for(path, store, StoreSettings(threads=1)),
            Alone(),
            SystemClock(),
            lambda: False,
            lambda _text: None,
        )
    except ConfigError as error:
        return f"refused: {str(error).removeprefix(str(path))[:70]}", bears_out(entry)
    assert report is not None
    try:
        expected = netcdf_variables(path)
    except Exception as error:  # netCDF4-python cannot, we could
        return f"{report.arrays} arrays; netCDF4-python: {str(error)[:40]}", report.arrays > 0
    for name in UNDEFINED.get(path.name, ()):
        expected.pop(name, None)
    wrong = difference(store, expected, {one.variable for one in report.refused})
    left = f", {len(report.refused)} left out" if report.refused else ""
    return wrong or f"{report.arrays} arrays equal{left}", not wrong


@pytest.mark.skipif(not CATALOG.is_file(), reason="the zoo of NetCDF files is not here")
@pytest.mark.filterwarnings("ignore")  # of netCDF4 and zarr about what the files themselves hold
def test_every_file_is_equal_or_refused_with_reason(tmp_path: Path) -> None:
    rows, wrong = [], []
    for number, entry in enumerate(entries()):
        began = time.perf_counter()
        result, right = outcome(entry, tmp_path / f"{number}.zarr")
        rows.append(
            f"{entry['file'][:58]:58}  {result[:90]:90}  {time.perf_counter() - began:6.2f} s"
        )
        if not right:
            wrong.append(f"{entry['file']}: {result}")
    print("\n" + "\n".join(rows))
    assert len(rows) > 100
    assert not wrong, "\n".join(wrong)
