"""Runs a .cu text on the host: g++ compiles it behind cuda_host.h, where fibers are CUDA's threads."""

import contextlib
import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from astrohpc.kernels import zonal_gpu
from astrohpc.kernels.sources import SOURCES
from astrohpc.physics import sums_gpu

HEADER = Path(__file__).parent / "kernels" / "cuda_host.h"
# No contraction, as --fmad=false on the GPU; warnings are errors, for a name may be read before it is set.
FLAGS = ("-O1", "-std=c++17", "-ffp-contract=off", "-shared", "-fPIC")
WARNINGS = ("-Wall", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-function")


def host_kernel(text: str, name: str, folder: Path) -> Callable[..., None]:
    """The one kernel of a text."""
    return host_kernels(text, (name,), folder)[name]


@functools.cache
def host_kernels(text: str, names: tuple[str, ...], folder: Path) -> dict[str, Callable[..., None]]:
    """The kernels of a text, each as ``run(grid, block, *arguments, shared_bytes=0)`` of numpy's values."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ here, which runs the CUDA text on the host; install it")
    whole = "\n".join([f'#include "{HEADER}"', text, *(_launcher(text, name) for name in names)])
    stem = f"{names[0]}-{hashlib.sha256(whole.encode()).hexdigest()[:12]}"
    source, library = folder / f"{stem}.cpp", folder / f"{stem}.so"
    source.write_text(whole, encoding="utf-8")
    done = subprocess.run(
        [compiler, *FLAGS, *WARNINGS, "-o", library, source],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = ctypes.CDLL(os.fspath(library))
    return {name: _runner(loaded[f"run_{name}"]) for name in names}


def _launcher(text: str, name: str) -> str:
    parameters = re.search(rf"__global__[^;{{]*?\b{name}\((.*?)\)\s*{{", text, re.DOTALL)
    assert parameters is not None
    listed = " ".join(parameters[1].split())
    given = ", ".join(re.findall(r"(\w+)\s*(?:,|$)", listed))
    return f"""
extern "C" void run_{name}(const unsigned* grid, unsigned threads, unsigned long bytes, {listed}) {{
    host::launch({{grid[0], grid[1], grid[2]}}, threads, bytes, [&] {{ {name}({given}); }});
}}
"""


def _runner(function: Any) -> Callable[..., None]:
    function.restype = None

    def run(grid: Sequence[int], block: int, *arguments: Any, shared_bytes: int = 0) -> None:
        whole = (ctypes.c_uint * 3)(*grid, *[1] * (3 - len(grid)))
        function(
            whole, ctypes.c_uint(block), ctypes.c_ulong(shared_bytes), *map(_argument, arguments)
        )

    return run


def _argument(value: Any) -> Any:
    if value is None:
        return ctypes.c_void_p(None)
    if isinstance(value, np.ndarray):
        assert value.flags.c_contiguous
        return ctypes.c_void_p(value.ctypes.data)
    assert isinstance(value, np.generic), "give numpy scalars: their types are the kernel's"
    return np.ctypeslib.as_ctypes_type(value.dtype)(value.item())


# ----------------------------------------------------------------------------- a GPU in name only
class Seen(np.ndarray):
    """An array that says it is on a GPU, as CuPy's do."""

    @property
    def device(self) -> Any:
        return SimpleNamespace(id=0)

    @property
    def data(self) -> Any:
        return SimpleNamespace(ptr=self.__array_interface__["data"][0])

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self.__array_interface__

    def get(self) -> np.ndarray:
        return np.array(self)


def library_in_name_only(**attributes: int) -> Any:
    """CuPy as far as kernels are called by it, of a GPU with these attributes; its memory is the host's."""

    class Device(contextlib.nullcontext):
        def __init__(self, number: int = 0) -> None:
            super().__init__()
            self.attributes = attributes

    return SimpleNamespace(
        cuda=SimpleNamespace(
            Device=Device,
            ExternalStream=contextlib.nullcontext,
            runtime=SimpleNamespace(getDeviceCount=lambda: 2),
        ),
        empty=lambda shape, kind: np.full(shape, 77, kind).view(Seen),
        asarray=lambda array: array.view(Seen),
    )


def zonal_in_name_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of arrays that are ``Seen`` are made by zonal.cu on the host, from here on."""

    def launched(name, kernel, variant, stream, grid, block, arguments):
        run = host_kernel(SOURCES[name].text(variant), kernel, folder)
        run(grid, 32, *arguments)

    monkeypatch.setattr(sums_gpu, "cupy", library_in_name_only)
    monkeypatch.setattr(zonal_gpu, "launch", launched)
    monkeypatch.setattr(zonal_gpu, "_THREADS", 32)
