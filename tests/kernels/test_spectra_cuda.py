"""spectra.cu against its twin: on the host always, on a GPU where one is. All spectra are synthetic."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support_cuda import host_kernels

from astrohpc.augment import spectra as augmentation
from astrohpc.augment.spectra import augment
from astrohpc.augment.spectra_policy import Draws, SpectraPolicy
from astrohpc.errors import ConfigError
from astrohpc.kernels import spectra_desk as desk
from astrohpc.kernels import spectra_gpu
from astrohpc.kernels.sources import SOURCES
from astrohpc.kernels.spectra_gpu import SpectraOnGpu, room_words
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


class InName:
    """What SpectraOnGpu does, on the host: kernels over arrays at addresses, three spectra by two blocks."""

    folder: Path
    kernel = "spectra"

    def __init__(self, values, out, grid, manner, given=None, sigma=None):
        self.tensors = {"values": values, "out": out, "given": given, "sigma": sigma}
        self.grid, self.manner = grid, manner
        (samples, self.bins), self.dtype = out.shape, out.dtype
        self.totals = np.full((samples, 4), 77.0)
        self.state = np.full((samples, 2), 77)

    def augment(self, first: int, plan: desk.Plan) -> None:
        kind = {"float32": "f32", "bfloat16": "bf16"}[self.dtype]
        step = {"values": 4 if kind == "f32" else 2, "given": 4, "sigma": 4}
        step["out"] = step["values"]
        at = {
            name: each.pointer + first * self.bins * step[name] if each else 0
            for name, each in self.tensors.items()
        }
        at["totals"] = self.totals[first:].ctypes.data
        at["state"] = self.state[first:].ctypes.data
        words = room_words(self.bins, len(self.grid.edge), len(self.grid.node))
        room = np.full((2, words), 1e300)
        at["room"] = room.ctypes.data
        arrays = {**spectra_gpu.grid_arrays(self.grid), **spectra_gpu.plan_arrays(plan)}
        its = {**spectra_gpu.grid_arrays(self.grid)}, {**spectra_gpu.plan_arrays(plan)}
        held = {name: array.ctypes.data for part in its for name, array in part.items()}
        assert len(held) == len(arrays)
        job = spectra_gpu.job(at, held, self.bins, self.grid, plan, self.manner)
        run = host_kernels(SOURCES["spectra"].text({"X": kind}), KERNELS, self.folder)
        shared = 8 * words if self.kernel == "spectra" else 0
        run[self.kernel]((2,), 64, job, shared_bytes=shared)

    def found(self) -> tuple[np.ndarray, np.ndarray]:
        return self.totals, self.state


def as_if(name: str, array: Any) -> Tensor:
    """A tensor of the CPU as if it were on a GPU."""
    kind = str(array.dtype).removeprefix("torch.")
    return Tensor(
        name, array.data_ptr(), tuple(array.shape), tuple(array.stride()), kind, Stream(0, 0)
    )


@pytest.fixture
def in_name_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> type[InName]:
    """Tensors of the CPU pass for those of a GPU from here on, and kernels run on the host."""

    class Here(InName):
        pass

    Here.folder = folder
    monkeypatch.setattr(augmentation, "on_gpu", lambda array: hasattr(array, "data_ptr"))
    monkeypatch.setattr(
        augmentation, "tensors", lambda held: {name: as_if(name, each) for name, each in held.items()}
    )
    monkeypatch.setattr(spectra_gpu, "SpectraOnGpu", Here)
    monkeypatch.setattr(augmentation, "_AT_ONCE_ON_GPU", 2)
    return Here


def bits(values: Any) -> np.ndarray:
    return values.view(torch_of().int16).numpy() if hasattr(values, "data_ptr") else values.view("i2")


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
    "even noise": ("falling", only(snr=(0.8, 2.0), noise="even", keep_total=False, positive=True), {}),
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


def run(case: str, flux: Any, **more: Any) -> Any:
    grid_name, policy, given = CASES[case]
    grid = grid_of(grid_name)
    given = {name: value() if callable(value) else value for name, value in given.items()}
    if given.pop("sigma", False):
        given["sigma"] = np.tile(np.linspace(0.0, 0.2, grid.count, dtype=np.float32), (3, 1))
    return augment(flux, grid, policy, seed=7, samples=_IDS, **given, **more)


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_the_kernel_run_on_the_host_gives_the_bits_of_the_twin(
    in_name_only: type[InName], case: str, bfloat16: bool
) -> None:
    torch = torch_of()
    flux = flux_of(grid_of(CASES[case][0]))
    wanted = None if bfloat16 else run(case, flux, threads=1)
    tensor = torch.from_numpy(flux)
    if bfloat16:
        tensor = tensor.bfloat16()
        augmentation.on_gpu, seen = (lambda _: False), augmentation.on_gpu
        wanted = run(case, tensor, threads=1)
        augmentation.on_gpu = seen
    for kernel in KERNELS:
        in_name_only.kernel = kernel
        same(run(case, tensor), wanted)
