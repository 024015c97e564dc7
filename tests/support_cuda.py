"""Runs a .cu text on the host: g++ compiles it behind cuda_host.h, where fibers are CUDA's threads."""

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HEADER = Path(__file__).parent / "kernels" / "cuda_host.h"
# No contraction, as --fmad=false on the GPU; warnings are errors, for a name may be read before it is set.
FLAGS = ("-O1", "-std=c++17", "-ffp-contract=off", "-shared", "-fPIC")
WARNINGS = ("-Wall", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-function")


@functools.cache
def host_kernel(text: str, name: str, folder: Path) -> Callable[..., None]:
    """The kernel as ``run(grid, block, *arguments, shared_bytes=0)`` of numpy arrays and scalars."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ here, which runs the CUDA text on the host; install it")
    parameters = re.search(rf"\b{name}\((.*?)\)\s*{{", text[text.index("__global__") :], re.DOTALL)
    assert parameters is not None
    listed = " ".join(parameters[1].split())
    names = ", ".join(re.findall(r"(\w+)\s*(?:,|$)", listed))
    text = f"""#include "{HEADER}"
{text}
extern "C" void run(const unsigned* grid, unsigned threads, unsigned long bytes, {listed}) {{
    host::launch({{grid[0], grid[1], grid[2]}}, threads, bytes, [&] {{ {name}({names}); }});
}}
"""
    stem = f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    source, library = folder / f"{stem}.cpp", folder / f"{stem}.so"
    source.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [compiler, *FLAGS, *WARNINGS, "-o", library, source],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    function = ctypes.CDLL(os.fspath(library)).run
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
