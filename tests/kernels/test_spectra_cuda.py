"""spectra.cu against its twin: on the host always, on a GPU where one is. All spectra are synthetic."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support_cuda import host_kernels, library_in_name_only

from astrohpc.augment import spectra as augmentation
from astrohpc.augment.spectra import augment
from astrohpc.augment.spectra_policy import Draws, SpectraPolicy
from astrohpc.errors import ConfigError
from astrohpc.kernels import spectra_gpu
from astrohpc.kernels.sources import SOURCES
from astrohpc.kernels.spectra_gpu import SpectraOnGpu
from astrohpc.kernels.tensors import Stream, Tensor
from astrohpc.physics.wavelengths import Wavelengths

KERNELS = ("spectra", "spectra_long")
_NOTHING = {"shift": 0.0, "resolution": (), "snr": (), "response": 0.0, "gaps": 0}
_IDS = np.array([4, 2**40 + 1, 9])
GRIDS = {
    "logarithmic": np.geomspace(0.5, 5.0, 333),
    "falling": np.linspace(2.8, 0.8, 401),
    "with gaps": np.r_[np.linspace(0.6, 1.1, 90), 1.2, np.linspace(1.3, 2.2, 160), [3.0, 3.1]],
    "of five bins": np.linspace(1.0, 1.4, 5),
}


def grid_of(name: str) -> Wavelengths:
    return Wavelengths.from_centres(GRIDS[name])


def flux_of(grid: Wavelengths, count: int = 3) -> np.ndarray:
    """Lines in absorption and emission, and noise, on a slope."""
    random = np.random.default_rng(5)
    smooth = 1.0 + 0.4 * np.sin(9.0 * grid.centre_um) + 0.2 * grid.centre_um
    return (smooth * random.gamma(9.0, 1 / 9.0, (count, grid.count))).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spectra")


def as_if(name: str, array: Any) -> Tensor:
    """A tensor of the CPU as if it were on a GPU."""
    kind = str(array.dtype).removeprefix("torch.")
    return Tensor(
        name, array.data_ptr(), tuple(array.shape), tuple(array.stride()), kind, Stream(0, 0)
    )


@pytest.fixture
def in_name_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Called with a kernel's name: tensors of the CPU pass for those of a GPU whose shared memory makes that
    kernel the one to take, and kernels run on the host; the names of those launched."""

    def begin(kernel: str) -> list[str]:
        launched = []

        def launch(name, its, variant, stream, grid, block, arguments, shared):
            assert (stream, block) == (Stream(0, 0), spectra_gpu.THREADS)
            run = host_kernels(SOURCES[name].text(variant), KERNELS, folder)
            run[its](grid, 64, *arguments, shared_bytes=shared)
            launched.append(its)

        most = 232448 if kernel == "spectra" else 1024
        library = library_in_name_only(MaxSharedMemoryPerBlockOptin=most, MultiProcessorCount=1)
        monkeypatch.setattr(spectra_gpu, "cupy", lambda: library)
        monkeypatch.setattr(spectra_gpu, "launch", launch)
        monkeypatch.setattr(augmentation, "on_gpu", lambda array: hasattr(array, "data_ptr"))
        monkeypatch.setattr(
            augmentation,
            "tensors",
            lambda held: {name: as_if(name, each) for name, each in held.items()},
        )
        monkeypatch.setattr(augmentation, "_AT_ONCE_ON_GPU", 2)
        return launched

    return begin


def bits(values: Any) -> np.ndarray:
    return (
        values.view(torch_of().int16).numpy()
        if hasattr(values, "data_ptr")
        else values.view(np.int16)
    )


def torch_of() -> Any:
    return pytest.importorskip("torch", reason="the extra 'train' is not installed")


def same(made: Any, wanted: Any) -> None:
    """All bits that come back."""
    np.testing.assert_array_equal(bits(made.values), bits(wanted.values))
    np.testing.assert_array_equal(made.totals, wanted.totals)
    if wanted.sigma is not None:
        np.testing.assert_array_equal(bits(made.sigma), bits(wanted.sigma))


def only(**changes: Any) -> SpectraPolicy:
    return SpectraPolicy(**{**_NOTHING, **changes})


CASES: dict[str, tuple[str, SpectraPolicy, dict[str, Any]]] = {
    "nothing": ("logarithmic", only(), {}),
    "a shift": ("with gaps", only(shift=0.1), {}),
    "a stretch of a ratio": (
        "falling",
        only(quantity="ratio"),
        {"draws": lambda: Draws.of(3, shift=[0.0, 0.05, -0.1], stretch=[0.07, 0.0, -0.05])},
    ),
    "resolutions": (
        "with gaps",
        only(native_resolution=2000.0),
        {"draws": lambda: Draws.of(3, resolution=[60.0, np.nan, 900.0])},
    ),
    "a response": ("falling", only(response=0.05), {}),
    "photon noise": ("logarithmic", only(snr=(5.0, 50.0)), {"with_sigma": True}),
    "even noise": (
        "falling",
        only(snr=(0.8, 2.0), noise="even", keep_total=False, positive=True),
        {},
    ),
    "noise that is known": ("with gaps", only(), {"sigma": True, "with_sigma": True}),
    "no noise and its sigma": ("logarithmic", only(shift=0.1), {"with_sigma": True}),
    "gaps": ("logarithmic", only(gaps=4, gap_share=(0.05, 0.4)), {}),
    "nothing left": (
        "of five bins",
        only(),
        {"draws": lambda: Draws.of(3, resolution=3.0, snr=10.0), "with_sigma": True},
    ),
    "all": ("logarithmic", SpectraPolicy(), {"with_sigma": True}),
    "all of a falling grid": ("falling", SpectraPolicy(), {}),
    "all with gaps": ("with gaps", SpectraPolicy(), {}),
}


def tensor_of(case: str, bfloat16: bool) -> Any:
    flux = torch_of().from_numpy(flux_of(grid_of(CASES[case][0])))
    return flux.bfloat16() if bfloat16 else flux


def run(case: str, flux: Any, **more: Any) -> Any:
    grid_name, policy, given = CASES[case]
    grid = grid_of(grid_name)
    given = {name: value() if callable(value) else value for name, value in given.items()}
    if given.pop("sigma", False):
        given["sigma"] = np.tile(np.linspace(0.0, 0.2, grid.count, dtype=np.float32), (3, 1))
    return augment(flux, grid, policy, seed=7, samples=_IDS, **given, **more)


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_the_kernels_run_on_the_host_give_the_bits_of_the_twin(
    in_name_only: Callable[[str], list[str]], case: str, bfloat16: bool
) -> None:
    flux = tensor_of(case, bfloat16)
    wanted = run(case, flux, threads=1)
    for kernel in KERNELS:
        launched = in_name_only(kernel)
        same(run(case, flux), wanted)
        assert launched == [kernel, kernel]
    same(run(case, flux, out=flux), wanted)


def test_a_spectrum_that_cannot_be_had_right_is_told_as_by_the_twin(
    in_name_only: Callable[[str], list[str]],
) -> None:
    in_name_only("spectra")
    torch = torch_of()
    grid = grid_of("falling")
    spoilt = torch.ones(3, grid.count)
    spoilt[1, 17], spoilt[1, 300] = torch.nan, torch.inf
    below = torch.ones(3, grid.count)
    below[2] = -1.0
    signs = torch.tensor([1.0, -1.0]).repeat(3, grid.count)[:, : grid.count].contiguous()
    for flux, policy, said in (
        (spoilt, only(shift=0.1), "sample 1 has no finite number at index 17;"),
        (below, only(snr=(10.0, 10.0)), "sample 2 has a mean that is not above 0"),
        (signs, only(response=0.02), "sample 0 has so little above zero"),
    ):
        with pytest.raises(ConfigError, match=said):
            augment(flux, grid, policy, seed=1)


def test_tensors_of_different_places_or_kinds_are_refused(
    in_name_only: Callable[[str], list[str]],
) -> None:
    in_name_only("spectra")
    torch = torch_of()
    grid = grid_of("falling")
    flux = torch.ones(3, grid.count)
    for changes, said in (
        ({"out": np.ones((3, grid.count), np.float32)}, "out: .* lie where it does"),
        ({"out": flux.bfloat16()}, "out: .* precision"),
        ({"flux": flux.double()}, "flux: holds torch.float64"),
        ({"flux": flux[:, ::2]}, "flux: its values do not follow"),
        ({"sigma": -flux}, "sigma: it has values that are below 0"),
        ({"sigma": flux.double()}, "sigma: it must be contiguous float32"),
        ({"flux": flux.numpy(), "sigma": flux}, "sigma: lies on a GPU, and flux does not"),
    ):
        with pytest.raises(ConfigError, match=said):
            augment(**{"flux": flux, "wavelengths": grid, "policy": only(), "seed": 1, **changes})
    with pytest.raises(ValueError, match=r"sigma: is \(3, 401\) of bfloat16 where .* of float32"):
        SpectraOnGpu(
            *(as_if("flux", flux), as_if("out", flux), None, None),
            as_if("sigma", flux.bfloat16()),
        )


@pytest.mark.gpu
@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_the_kernel_really_on_a_gpu_gives_the_bits_of_the_twin(
    gpu_torch: Any, case: str, bfloat16: bool
) -> None:
    flux = tensor_of(case, bfloat16)
    wanted, made = run(case, flux, threads=1), run(case, flux.cuda())
    sigma = None if made.sigma is None else made.sigma.cpu()
    same(replace(made, values=made.values.cpu(), sigma=sigma), wanted)


@pytest.mark.gpu
def test_a_long_spectrum_really_on_a_gpu_gives_the_bits_of_the_twin(gpu_torch: Any) -> None:
    grid = Wavelengths.from_centres(np.geomspace(0.5, 5.0, 30000))
    flux = gpu_torch.from_numpy(flux_of(grid))
    more: dict[str, Any] = {"wavelengths": grid, "policy": SpectraPolicy(), "seed": 3}
    wanted, made = augment(flux, **more), augment(flux.cuda(), **more)
    same(replace(made, values=made.values.cpu()), wanted)
