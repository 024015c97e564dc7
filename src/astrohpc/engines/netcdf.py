"""Opening what a model left: a complete NetCDF file, or one sentence that says what is wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from astrohpc.errors import ConfigError
from astrohpc.netcdf.classic import is_classic, read_header


@contextmanager
def open_complete(path: Path) -> Iterator[Any]:
    """Open a NetCDF file for reading, values unmasked; refuse one that is missing, foreign or cut.

    The library reads what is missing at the end of a classic file as zeros, so its header is read
    here first, and held against the size of the file.
    """
    from netCDF4 import Dataset  # noqa: PLC0415 - 0.2 s that a status query need not pay

    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file; check the name or run the member first.")
    with path.open("rb") as start:
        classic = is_classic(start.read(4))
    if classic:
        read_header(path)
    try:
        file = Dataset(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: is not a whole NetCDF file ({error}); it was cut short or is something else, "
            "so fetch it again or continue the run from its last restart."
        ) from error
    try:
        file.set_auto_maskandscale(False)
        yield file
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"{path}: cannot be read to its end ({error}); it was cut short, "
            "so fetch it again or continue the run from its last restart."
        ) from error
    finally:
        file.close()
