import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from astrohpc.kernels import cuda, tensors
from astrohpc.kernels.build import CACHE_VARIABLE, NoKernel
from astrohpc.kernels.sources import SOURCES
from astrohpc.kernels.tensors import Stream, Tensor, on_gpu, tensor

VARIANT = {"X": "f32", "P": "f32"}
needs_nvrtc = pytest.mark.skipif(
    __import__("importlib.util").util.find_spec("cuda") is None,
    reason="there is no package cuda-core here; install the extra gpu",
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def interface(array: np.ndarray, device: int = 0, **more: object) -> SimpleNamespace:
    """An array that says it is on a GPU."""
    seen = {**array.__array_interface__, "version": 3, **more}
    return SimpleNamespace(__cuda_array_interface__=seen, device=SimpleNamespace(id=device))


@needs_nvrtc
def test_a_kernel_is_compiled_once_and_kept_under_what_it_was_made_of(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cuda.cubin("zonal", VARIANT, "sm_90")
    assert path.parent == cache
    assert path.read_bytes()[:4] == b"\x7fELF"
    assert [x.name for x in cache.iterdir()] == [path.name]
    monkeypatch.setattr(cuda, "compiled", lambda *_: pytest.fail("it was there"))
    assert cuda.cubin("zonal", VARIANT, "sm_90") == path
    for other in ({**VARIANT, "P": "f64"}, VARIANT):
        arch = "sm_80" if other is VARIANT else "sm_90"
        with pytest.raises(pytest.fail.Exception):
            cuda.cubin("zonal", other, arch)
    monkeypatch.setitem(SOURCES, "zonal", replace(SOURCES["zonal"], statements=(_other(),)))
    with pytest.raises(pytest.fail.Exception):
        cuda.cubin("zonal", VARIANT, "sm_90")


def _other() -> object:
    from astrohpc.kernels.formulas import uniform

    return uniform


@needs_nvrtc
def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    assert cuda.cubin("zonal", VARIANT, "sm_90").read_bytes()[:4] == b"\x7fELF"


@needs_nvrtc
def test_an_error_of_the_compiler_is_told_with_its_line() -> None:
    with pytest.raises(NoKernel, match=r"for sm_90 .*unheard"):
        cuda.compiled('extern "C" __global__ void k() { unheard(); }', "sm_90")


@pytest.mark.parametrize("package", ["cuda.core", "cupy"])
def test_a_missing_package_is_told_with_the_extra(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    cuda.cupy.cache_clear()
    with pytest.raises(NoKernel, match=r"no package .* here; .*astrohpc\[gpu\]"):
        cuda.compiled("", "sm_90") if package == "cuda.core" else cuda.cupy()
    cuda.cupy.cache_clear()


def test_without_a_gpu_a_launch_says_so() -> None:
    cupy = pytest.importorskip("cupy")
    if cupy.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(NoKernel, match="sees no GPU here"):
        cuda.launch("zonal", "zonal", VARIANT, Stream(0, 0), (1,), 32, ())


def test_an_array_of_a_gpu_is_seen_as_it_lies() -> None:
    array = np.zeros((3, 4, 5), np.float32)
    found = tensor("ta", interface(array, 1, stream=77))
    pointer = array.ctypes.data
    assert found == Tensor("ta", pointer, (3, 4, 5), (20, 5, 1), "float32", Stream(1, 77))
    assert found.distance == 20
    assert found.argument == np.uint64(pointer)
    apart = np.zeros((6, 4, 5), np.float64)[::2]
    assert tensor("ta", interface(apart)).distance == 40
    assert tensor("ta", interface(np.zeros((1, 4, 5)))).distance == 20


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 4, 10))[:, :, ::2], "ta: of shape .* not lie closely .* contiguous"),
        (np.zeros((3, 4, 10)).transpose(0, 2, 1), "ta: of shape .* not lie closely"),
        (np.zeros((3, 0, 10)), "ta: of shape .* holds nothing"),
        (np.zeros((0, 4)), "ta: of shape .* holds nothing"),
    ],
)
def test_what_a_kernel_cannot_walk_through_is_refused(array: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _ = tensor("ta", interface(array)).distance


def test_arrays_that_are_elsewhere_are_refused_by_name() -> None:
    torch = pytest.importorskip("torch")
    assert not on_gpu(torch.zeros(3))
    assert not on_gpu(np.zeros(3))
    assert on_gpu(interface(np.zeros(3)))
    with pytest.raises(ValueError, match=r"ta: the tensor is on cpu, not on a GPU; use .cuda\(\)"):
        tensor("ta", torch.zeros(3))
    with pytest.raises(ValueError, match="ta: ndarray is not on a GPU"):
        tensor("ta", np.zeros(3))
    fields = {"ta": interface(np.zeros(3), 0), "ps": interface(np.zeros(3), 1)}
    with pytest.raises(ValueError, match="ps: it is on GPU 1, but ta on 0"):
        tensors.tensors(fields)


@pytest.mark.gpu
def test_a_launch_waits_for_what_the_callers_stream_was_asked_before(gpu_torch) -> None:
    from astrohpc.kernels.zonal_gpu import zonal_gpu

    stream = gpu_torch.cuda.Stream()
    x = gpu_torch.zeros((64, 32, 32, 64), device="cuda")
    sums = gpu_torch.empty((6, 64, 32, 32), dtype=gpu_torch.float64, device="cuda")
    bad = gpu_torch.empty((64, 32, 32), dtype=gpu_torch.int32, device="cuda")
    gpu_torch.cuda.synchronize()
    with gpu_torch.cuda.stream(stream):
        for _ in range(50):
            x += 1.0
        held = [tensor(name, array) for name, array in (("x", x), ("sums", sums), ("bad", bad))]
        zonal_gpu(held[0], None, 32, 0, held[1], held[2])
    stream.synchronize()
    assert (sums[0] == 50 * 64).all()
    assert (bad == -1).all()
