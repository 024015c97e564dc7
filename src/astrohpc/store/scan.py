"""One file's headers as a :class:`Source`; what is no whole NetCDF file is refused in a sentence."""

import os
import stat
from pathlib import Path

from astrohpc.errors import ConfigError
from astrohpc.netcdf.classic import ClassicVariable, is_classic, read_header
from astrohpc.store.fill import fill_of
from astrohpc.store.source import BadSource, Dimension, Rows, Source, Variable

_HDF5 = b"\x89HDF\r\n\x1a\n"
_START = 64 * 1024
_OTHERS = (
    (b"\x0e\x03\x13\x01", "an HDF4 file; convert it with h4toh5 or ncl_convert2nc first"),
    (b"GRIB", "a GRIB file; convert it with cdo -f nc copy or grib_to_netcdf first"),
    (b"BUFR", "a BUFR file; convert it to NetCDF first"),
    (
        b"version https://git-lfs",
        "a git-LFS pointer and not the file itself; run git lfs pull where it came from",
    ),
    (b"\x1f\x8b", "compressed with gzip; unpack it with gunzip"),
    (b"BZh", "compressed with bzip2; unpack it with bunzip2"),
    (b"\xfd7zXZ", "compressed with xz; unpack it with unxz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it with unzstd"),
    (b"PK\x03\x04", "a zip archive; unpack it"),
)


def scan(path: Path) -> Source:
    """What the file holds and where its bytes lie; :class:`BadSource` says why it cannot be read."""
    path = Path(path)
    status = _regular(path)
    try:
        with path.open("rb") as file:
            start = file.read(_START)
    except OSError as error:
        raise BadSource(f"{path}: cannot be read ({error.strerror}); change its rights.") from error
    if is_classic(start):
        return _classic(path, status)
    base = _hdf5_base(path, start)
    if base is None:
        raise BadSource(f"{path}: is {_what(start)}.")
    return _hdf5(path, status, base)


def changed(source: Source) -> bool:
    """Whether the file is no longer the one that was scanned."""
    try:
        status = source.path.stat()
    except OSError:
        return True
    return (status.st_size, status.st_mtime_ns) != (source.bytes, source.mtime_ns)


def unfit_name(name: str) -> str:
    """Why Zarr cannot hold a variable of this name, empty if it can."""
    if not name.strip("."):
        return f"is named {name!r}, which would lead out of the store's folder"
    if "/" in name or "\0" in name:
        return "has a slash in its name, which would make a group of it"
    if name in {"zarr.json", ".zattrs", ".zgroup", ".zarray"}:
        return "has the name of one of Zarr's own files"
    return ""


def _regular(path: Path) -> os.stat_result:
    try:
        status = path.stat()
    except OSError as error:
        raise BadSource(f"{path}: there is no such file ({error.strerror}).") from error
    if stat.S_ISDIR(status.st_mode):
        raise BadSource(f"{path}: is a folder; name the files in it.")
    if not stat.S_ISREG(status.st_mode):
        raise BadSource(f"{path}: is no ordinary file; copy its contents to one.")
    if not status.st_size:
        raise BadSource(
            f"{path}: is empty; fetch it again or continue the run that should fill it."
        )
    return status


def _hdf5_base(path: Path, start: bytes) -> int | None:
    """Where HDF5 begins: at 0, or at 512, 1024, 2048 ... after a block of the user's."""
    with path.open("rb") as file:
        base, size = 0, path.stat().st_size
        while base < size:
            if base < len(start):
                found = start[base : base + 8]
            else:
                file.seek(base)
                found = file.read(8)
            if found == _HDF5:
                return base
            base = max(512, 2 * base)
    return None


def _what(start: bytes) -> str:
    for magic, what in _OTHERS:
        if start.startswith(magic):
            return what
    if start.startswith((b"CDF", b"\x89HDF")):
        return "damaged in its first bytes; fetch it again"
    if not any(start):
        return "all zeros where it should begin, so the disk lost it; fetch it again"
    try:
        text = start[:2048].decode()
    except UnicodeDecodeError as error:
        text = "" if error.start < min(len(start), 2048) - 4 else "text"
    if text and all(one.isprintable() or one.isspace() for one in text):
        return "text and not NetCDF; remove it from the list"
    return "neither NetCDF nor HDF5; remove it from the list"


def _classic(path: Path, status: os.stat_result) -> Source:
    try:
        header = read_header(path)
    except ConfigError as error:
        raise BadSource(str(error)) from error
    unstorable = {one.name: why for one in header.variables if (why := unfit_name(one.name))}
    return Source(
        path=path,
        format=f"CDF-{header.version}",
        bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        dimensions={
            name: Dimension(size, name == header.record_dimension)
            for name, size in header.dimensions.items()
        },
        variables=tuple(_variable(one) for one in header.variables if one.name not in unstorable),
        attrs=header.attrs,
        group_attrs={},
        unstorable=unstorable,
    )


def _variable(one: ClassicVariable) -> Variable:
    return Variable(
        path=one.name,
        dims=one.dims,
        shape=one.shape,
        dtype=one.dtype,
        attrs=one.attrs,
        fill=fill_of(one.attrs.get("_FillValue"), one.dtype),
        layout=Rows(one.begin, one.stride),
    )


def _hdf5(path: Path, status: os.stat_result, base: int) -> Source:
    from astrohpc.store.hdf5 import read_contents  # noqa: PLC0415 - h5py takes 0.1 s

    contents = read_contents(path, status.st_size, base)
    unstorable = dict(contents.unstorable)
    for one in contents.variables:
        if why := next(filter(None, map(unfit_name, one.path.split("/"))), ""):
            unstorable[one.path] = why
    return Source(
        path=path,
        format="HDF5",
        bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        dimensions=contents.dimensions,
        variables=tuple(one for one in contents.variables if one.path not in unstorable),
        attrs=contents.attrs,
        group_attrs=contents.group_attrs,
        unstorable=unstorable,
    )
