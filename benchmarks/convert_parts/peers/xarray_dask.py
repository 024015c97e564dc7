"""xarray.open_mfdataset → to_zarr on dask's threads; one dask chunk is one file's share, one shard."""

import argparse
from pathlib import Path

import dask
from zarr.codecs import BloscCodec

from convert_parts.peers.layout import codec, targets
from convert_parts.peers.multi import open_all


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--codec", choices=("seed", "tuned"), required=True)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    arrays, _ = targets(given.source)
    records = next(iter(arrays.values())).shard[1]
    dask.config.set(scheduler="threads", num_workers=given.threads)
    whole = open_all(given.source, records)
    encoding = {
        name: {
            "chunks": one.chunk,
            "shards": one.shard if one.sharded else None,
            "compressors": [BloscCodec(**codec(given.codec, one))],
        }
        for name, one in arrays.items()
    }
    whole.to_zarr(given.target, encoding=encoding, zarr_format=3, consolidated=False)


if __name__ == "__main__":
    main()
