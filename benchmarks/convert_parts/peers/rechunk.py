"""rechunker, in an environment with zarr 2, which is what it writes: no shards, a file a chunk."""

import argparse
import shutil
from pathlib import Path

import dask
from numcodecs import Blosc
from rechunker import rechunk

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
    whole = open_all(given.source, records)
    options = {}
    for name, one in arrays.items():
        chosen = codec(given.codec, one)
        blosc = Blosc("zstd", chosen["clevel"], Blosc.BITSHUFFLE, chosen["blocksize"])
        options[name] = {"compressor": blosc}
    temporary = given.target.with_suffix(".temporary")
    plan = rechunk(
        whole,
        target_chunks={
            name: dict(zip(one.dims, one.chunk, strict=True)) for name, one in arrays.items()
        },
        max_mem="400MB",
        target_store=str(given.target),
        target_options=options,
        temp_store=str(temporary),
    )
    with dask.config.set(scheduler="threads", num_workers=given.threads):
        plan.execute()
    shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    main()
