"""zonal.cu against its twin: on the host always, on a GPU where one is."""

from pathlib import Path

import numpy as np
import pytest
from support_cuda import host_kernel

from astrohpc.kernels.sources import SOURCES
from astrohpc.kernels.zonal import zonal
from astrohpc.kernels.zonal_gpu import DEEP, grid, zonal_gpu

KINDS = {"f32": np.float32, "f64": np.float64, "bf16": np.float32}
SHAPES = {  # samples, levels, rows, columns
    "fewer columns than lanes": (1, 1, 3, 7),
    "columns that are no multiple of lanes": (2, 9, 5, 37),
    "ModelE's grid": (1, 2, 46, 72),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("zonal")


def fields(kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Temperatures; the uint16 bits of them for bfloat16."""
    drawn = np.random.default_rng(3).normal(250.0, 20.0, shape).astype(KINDS[kind])
    return bits_of_bfloat16(drawn) if kind == "bf16" else drawn


def bits_of_bfloat16(values: np.ndarray) -> np.ndarray:
    return (values.view(np.uint32) >> 16).astype(np.uint16)


def twin(x: np.ndarray, p: np.ndarray, shape: tuple[int, int, int, int]) -> tuple:
    samples, levels, rows, columns = shape
    sums = np.full((6, samples, levels + 2, rows), -1.0)
    bad = np.full((samples, levels + 2, rows), -9, np.int32)
    if p.dtype == np.uint16:
        p = (p.astype(np.uint32) << 16).view(np.float32)
    size = levels * rows * columns
    zonal(
        x.ravel(),
        size,
        p.ravel(),
        rows * columns,
        (0, samples),
        (levels, rows, columns),
        1,
        sums,
        bad,
    )
    return sums, bad


def same(found: tuple, wanted: tuple) -> None:
    """To the bit, but for what is not a number: its bits mean nothing."""
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(np.signbit(found[0]), np.signbit(wanted[0]))


def on_host(
    folder: Path,
    kinds: tuple[str, str],
    x: np.ndarray,
    p: np.ndarray | None,
    shape: tuple,
    threads: int,
) -> tuple:
    samples, levels, rows, columns = shape
    run = host_kernel(SOURCES["zonal"].text({"X": kinds[0], "P": kinds[1]}), "zonal", folder)
    sums = np.full((6, samples, levels + 2, rows), -1.0)
    bad = np.full((samples, levels + 2, rows), -9, np.int32)
    sizes = np.int64(levels * rows * columns), np.int64(rows * columns)
    lengths = map(np.int32, (*shape, 1, levels + 2, DEEP))
    blocks = grid(samples, rows, levels, threads)
    run(blocks, threads, x, sizes[0], p, sizes[1], *lengths, sums, bad)
    return sums, bad


@pytest.mark.parametrize("kinds", [("f32", "f32"), ("f64", "f32"), ("bf16", "bf16")])
@pytest.mark.parametrize("name", SHAPES)
def test_the_kernel_run_on_the_host_gives_the_bits_of_the_twin(
    folder: Path, kinds: tuple[str, str], name: str
) -> None:
    shape = SHAPES[name]
    samples, _, rows, columns = shape
    x, p = fields(kinds[0], shape), fields(kinds[1], (samples, rows, columns))
    same(on_host(folder, kinds, x, p, shape, 64), twin(x, p, shape))


def test_rows_that_are_not_finite_are_found_and_summed_without_them_by_both(folder: Path) -> None:
    shape = (1, 3, 4, 40)
    x = fields("f64", shape)
    x[0, 0, 1, 39], x[0, 0, 1, 20] = np.nan, np.inf
    x[0, 1, 2] = np.nan
    x[0, 2, 3, 0] = 1e300  # its square leaves the range, but it is a number
    p = fields("f32", (1, 4, 40))
    found = on_host(folder, ("f64", "f32"), x, p, shape, 32)
    same(found, twin(x, p, shape))
    assert found[1][0, 1, 1] == 20
    assert found[1][0, 2, 2] == 0
    assert (found[1][0, 3] == -1).all()


def test_without_pressure_the_sums_with_it_are_not_numbers_in_both(folder: Path) -> None:
    shape = (1, 1, 3, 20)
    x = fields("f32", shape)
    found = on_host(folder, ("f32", "f32"), x, None, shape, 32)
    same(found, twin(x, np.full(60, np.nan, np.float32), shape))
    assert np.isnan(found[0][[1, 3], :, 1]).all()


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["float32", "float64", "bfloat16"])
def test_the_kernel_on_a_gpu_gives_the_bits_of_the_twin(gpu_torch, kind: str) -> None:
    from astrohpc.kernels.tensors import tensor

    shape = (3, 20, 46, 72)
    stored = fields({"float32": "f32", "float64": "f64", "bfloat16": "bf16"}[kind], shape)
    p = fields("f32", (3, 46, 72))
    x = gpu_torch.from_numpy(stored).cuda()
    x = x.view(gpu_torch.bfloat16) if kind == "bfloat16" else x
    sums = gpu_torch.full((6, 3, 22, 46), -1.0, dtype=gpu_torch.float64, device="cuda")
    bad = gpu_torch.full((3, 22, 46), -9, dtype=gpu_torch.int32, device="cuda")
    arrays = {"x": x, "p": gpu_torch.from_numpy(p).cuda(), "sums": sums, "bad": bad}
    held = {name: tensor(name, array) for name, array in arrays.items()}
    zonal_gpu(held["x"], held["p"], 20, 1, held["sums"], held["bad"])
    same((sums.cpu().numpy(), bad.cpu().numpy()), twin(stored, p, shape))
