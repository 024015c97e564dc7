"""CUDA C++ kernels: compiled by NVRTC when they are first wanted, kept on disk, launched where arrays are.

NVRTC needs no GPU and no driver, so that what a GPU runs is what CI compiled. Products are never
contracted into sums, roots and quotients are rounded as IEEE 754 says, and small numbers are kept: with
that a GPU gives the bits of the numba twins.
"""

import functools
import hashlib
import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from astrohpc.kernels.build import NoKernel, cache_folder
from astrohpc.kernels.sources import SOURCES
from astrohpc.kernels.tensors import EXTRA, Stream, cupy

# Beyond 48 KiB, a kernel's own variables included, shared memory has to be asked for.
_FREE_SHARED_BYTES = 40 * 1024
OPTIONS: dict[str, Any] = {
    "std": "c++17",
    "fma": False,
    "ftz": False,
    "prec_sqrt": True,
    "prec_div": True,
    "ptxas_options": ["-v"],  # what it says is the compile report
}


def compiled(text: str, arch: str) -> tuple[bytes, str]:
    """The cubin of a text for an architecture such as ``sm_90``, and what the compiler said."""
    try:
        from cuda.core import Program, ProgramOptions  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise NoKernel(f"there is no package cuda-core here; {EXTRA}") from error
    said = io.StringIO()
    try:
        program = Program(text, "c++", ProgramOptions(arch=arch, **OPTIONS))
        return program.compile("cubin", logs=said).code, said.getvalue().replace("\0", "")
    except Exception as error:  # each version of cuda-core has its own for this
        lines = [line for line in str(error).splitlines() if ": error" in line] or [str(error)]
        raise NoKernel(f"NVRTC cannot compile it for {arch} ({lines[0].strip()})") from error


def cubin(name: str, variant: Mapping[str, str], arch: str) -> Path:
    """The file of a compiled kernel, from the cache or compiled into it."""
    text = SOURCES[name].text(variant)
    key = hashlib.sha256(f"{text}\0{sorted(OPTIONS.items())}\0{_versions()}".encode())
    kind = "-".join(variant[key] for key in sorted(variant))
    file = f"{name}-{kind}-{arch}-{key.hexdigest()[:16]}.cubin"
    path = cache_folder() / file
    if path.is_file():
        return path
    code, _ = compiled(text, arch)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(path, code)
    except OSError:  # a home that is full or read-only: for this process alone
        path = Path(_own_folder().name) / file
        _write(path, code)
    return path


def _write(path: Path, code: bytes) -> None:
    """To a temporary name, then renamed: many ranks may do this at once."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(code)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


@functools.cache
def _own_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="astrohpc-")


@functools.cache
def _versions() -> tuple[Any, ...]:
    """Of what compiles: another NVRTC may order registers, and one day operations, in another way."""
    try:
        import cuda.core  # noqa: PLC0415 - an extra
        from cuda.bindings import nvrtc  # noqa: PLC0415
    except ImportError as error:
        raise NoKernel(f"there is no package {error.name} here; {EXTRA}") from error
    return (cuda.core.__version__, *nvrtc.nvrtcVersion()[1:])


@functools.lru_cache(maxsize=64)
def _loaded(name: str, kernel: str, variant: tuple[tuple[str, str], ...], device: int) -> Any:
    module = cupy()
    with module.cuda.Device(device) as chosen:
        path = cubin(name, dict(variant), f"sm_{chosen.compute_capability}")
        return module.RawModule(path=str(path)).get_function(kernel)


def launch(
    name: str,
    kernel: str,
    variant: Mapping[str, str],
    stream: Stream,
    grid: Sequence[int],
    block: int,
    arguments: Sequence[np.generic],
    shared_bytes: int = 0,
) -> None:
    """Put a kernel of a file on the caller's stream, behind what is there; it is not waited for.

    Arguments are numpy scalars of the very types of the kernel's; pointers are uint64.
    """
    module = cupy()
    function = _loaded(name, kernel, tuple(sorted(variant.items())), stream.device)
    with module.cuda.Device(stream.device), module.cuda.ExternalStream(stream.pointer):
        if shared_bytes > _FREE_SHARED_BYTES:
            function.max_dynamic_shared_size_bytes = shared_bytes
        function(tuple(grid), (block,), tuple(arguments), shared_mem=shared_bytes)
