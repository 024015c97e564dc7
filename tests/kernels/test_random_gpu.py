"""random_gpu.py: in CUDA's simulator, as PTX, and on a GPU where one is."""

import importlib.util
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from astrohpc.kernels import random

_SIMULATED = """
import sys
import numpy as np
from astrohpc.kernels import random_gpu

np.seterr(over="ignore")  # whole numbers wrap; plain Python of numpy scalars says so
made = []
for fill in (random_gpu.fill_normals, random_gpu.fill_uniforms):
    out = np.zeros((2, 6, 3, 5), np.float32)
    fill(out, 3, 9, [1, 2**40 + 5])
    made.append(out)
sys.stdout.buffer.write(np.stack(made).tobytes())
"""

# Only typing a device function asks for a GPU, for its architecture; it is told one.
_PTX = """
from types import SimpleNamespace
import numba.cuda.dispatcher
from numba import cuda, types
from astrohpc.kernels import formulas, random_gpu

numba.cuda.dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=(9, 0))
fill = random_gpu.kernel(formulas.normals4).py_func
kinds = types.float32[:, :, ::1], types.int64[::1], types.uint32, types.uint32
print(cuda.compile_ptx(fill, kinds, cc=(9, 0))[0])
"""


def ran(text: str, **more: str) -> bytes:
    environment = {**os.environ, **more, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        timeout=300,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_the_kernel_in_the_simulator_draws_the_numbers_of_the_processor() -> None:
    if importlib.util.find_spec("numba_cuda") is None:
        pytest.skip("there is no package numba-cuda here; install the extra gpu")
    made = np.frombuffer(ran(_SIMULATED, NUMBA_ENABLE_CUDASIM="1"), np.float32)
    normals, uniforms = made.reshape(2, 2, 6, 3, 5)
    samples = [1, 2**40 + 5]
    np.testing.assert_array_equal(normals, random.normals(3, 9, samples, (6, 3, 5)))
    np.testing.assert_array_equal(uniforms, random.uniforms(3, 9, samples, (6, 3, 5)))


def test_numba_cuda_contracts_no_product_and_ptxas_spills_nothing(tmp_path) -> None:
    for package in ("numba_cuda", "cuda.bindings", "nvidia.cu13"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"there is no package {package} here; install the extra test")
    ptx = ran(_PTX).decode()
    assert "fma" not in ptx
    assert "sqrt.rn.f32" in ptx
    assert "call" not in ptx
    # ptxas may contract a plain product, but never one whose rounding is asked for.
    assert set(re.findall(r"mul[.\w]*f32", ptx)) == {"mul.rn.f32"}
    places = importlib.util.find_spec("nvidia.cu13").submodule_search_locations
    ptxas = next(f"{place}/bin/ptxas" for place in places)
    (tmp_path / "fill.ptx").write_text(ptx)
    done = subprocess.run(
        [ptxas, "-v", "-arch=sm_90", "-o", tmp_path / "fill.cubin", tmp_path / "fill.ptx"],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert "0 bytes spill stores, 0 bytes spill loads" in done.stderr


def test_what_cannot_be_filled_is_refused() -> None:
    torch = pytest.importorskip("torch")
    from astrohpc.kernels import random_gpu

    with pytest.raises(ValueError, match="out: has 2 samples for 3; give it one for each"):
        random_gpu.fill_normals(torch.zeros(2, 4), 0, 0, [1, 2, 3])
    with pytest.raises(ValueError, match="out: the tensor is on cpu, not on a GPU"):
        random_gpu.fill_normals(torch.zeros(2, 4), 0, 0, [1, 2])


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["normals", "uniforms"])
def test_the_kernel_on_a_gpu_draws_the_numbers_of_the_processor(gpu_torch, name: str) -> None:
    from astrohpc.kernels import random_gpu

    out = gpu_torch.zeros((3, 6, 37, 41), device="cuda")
    stream = gpu_torch.cuda.Stream()
    with gpu_torch.cuda.stream(stream):
        fill = getattr(random_gpu, f"fill_{name}")
        fill(out, 3, 9, [1, 2**40 + 5, 7])
    stream.synchronize()
    drawn = getattr(random, name)(3, 9, [1, 2**40 + 5, 7], (6, 37, 41))
    np.testing.assert_array_equal(out.cpu().numpy(), drawn)
