"""augment.cu against its twin: on the host always, on a GPU where one is. All fields are synthetic."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support_cuda import host_kernels

sys.path.insert(0, str(Path(__file__).parents[1] / "augment"))  # for support_augment
from support_augment import grid_of, layers_of, layout_of, spread_of, synthetic

from astrohpc.augment import chain, memory
from astrohpc.augment.policy import CutMix, Elastic, Jitter, Mixup, Noise, Policy
from astrohpc.errors import ConfigError
from astrohpc.kernels import augment_gpu
from astrohpc.kernels.desk import Report
from astrohpc.kernels.sources import SOURCES
from astrohpc.kernels.tensors import Stream, Tensor
from astrohpc.physics.layout import Block, Layout

_ALL = {
    "jitter": Jitter(),
    "elastic": Elastic(),
    "mixup": Mixup(),
    "cutmix": CutMix(probability=0.5),
    "noise": Noise(),
}
_IDS = np.array([4, 2**40 + 1, 9])


class Call:
    """The twin's arguments, as a chain gave them, and what it made of them."""

    def __init__(
        self, layout: Any, policy: Policy, bfloat16: bool, monkeypatch: Any, spoil: Any = None
    ) -> None:
        batch = synthetic(layout, 3, 2)
        if spoil:
            spoil(batch)
        for block in layout:
            if block.role == "category":
                part = batch[:, :, layout.slice(block.name)]
                part[...] = np.clip(np.round(part / 5.0), -3.0, 3.0)
        if bfloat16:
            torch = pytest.importorskip("torch")
            batch = torch.from_numpy(batch).bfloat16()
        twin = chain.augment

        def recorded(*arguments: Any) -> None:
            self.arguments = arguments
            twin(*arguments)

        monkeypatch.setattr(chain, "augment", recorded)
        made = chain.Chain(policy)(
            batch, layout, seed=11, samples=_IDS, spread=spread_of(layout), threads=1
        )
        out = made.out.view(torch.uint16).numpy() if bfloat16 else made.out
        self.out = out.reshape(self.arguments[2].shape)
        self.own, self.other = self.arguments[:2]
        self.ground = self.arguments[4:8]  # globe, controls, blocks, draws
        self.report: Report = self.arguments[8]
        self.grid = layout.grid.shape


def on_host(call: Call, kind: str, folder: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    shape = (*call.own.shape[:3], *call.grid)
    out = np.full(call.own.shape, 77, call.own.dtype)
    addresses = (each.ctypes.data for each in (call.own, call.other, out))
    return out, on_addresses(into_of(shape, *addresses), kind, folder, call.ground)


def into_of(shape: tuple[int, ...], own: int, other: int, out: int) -> dict[str, Any]:
    return {"shape": shape, "own": own, "other": other, "out": out}


def on_addresses(
    into: dict[str, Any], kind: str, folder: Path, ground: tuple
) -> dict[str, np.ndarray]:
    """What augment_gpu does, on the host: the kernels over tensors at addresses."""
    run = host_kernels(SOURCES["augment"].text({"X": kind}), augment_gpu.KERNELS, folder)
    blocks = ground[2]
    sizes = augment_gpu.sizes_of(into["shape"], blocks)
    n_blocks, cells = len(blocks.table), sizes["rows"] * sizes["columns"]
    grids = augment_gpu.grids_of(sizes, n_blocks, 5)
    shapes = {
        **augment_gpu.scratch_shapes(sizes),
        **augment_gpu.found_shapes(sizes, n_blocks),
        "draft": ((max(grids.values()), sizes["draft_channels"], cells), np.float32),
    }
    made = {name: np.full(shape, 77, dtype) for name, (shape, dtype) in shapes.items()}
    made["wrong"][...], made["totals"][...] = 0, 0.0
    place = {name: array.ctypes.data for name, array in made.items()}
    draft = into["out"] if kind == "f32" else place["draft"]
    tensors = {name: into[name] for name in ("own", "other", "out")} | {"draft": draft}
    arrays = augment_gpu.arrays_of(*ground)
    held = {name: array.ctypes.data for name, array in arrays.items()}
    words = augment_gpu.job(tensors, sizes, held, place, *ground)
    for name in augment_gpu.KERNELS:
        shared = augment_gpu.shared_bytes(sizes["rows"])
        run[name]((grids[name],), 64, words, shared_bytes=shared)
    return made


def same(call: Call, out: np.ndarray, made: dict[str, np.ndarray]) -> None:
    """All bits that a chain gives."""
    word = np.uint32 if out.dtype == np.float32 else np.uint16
    np.testing.assert_array_equal(out.view(word), call.out.view(word))
    np.testing.assert_array_equal(made["own_share"], call.report.own)
    np.testing.assert_array_equal(made["wrong"], call.report.wrong)
    np.testing.assert_array_equal(made["totals"], call.report.totals)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("augment")


@pytest.mark.parametrize(
    ("grid", "layers", "mass_flux", "some", "kind"),
    [
        ("gaussian", "hybrid", "kept", _ALL, "f32"),
        ("modele", "sigma", "zero", _ALL, "f32"),
        ("odd", "hybrid", "free", {"elastic": Elastic(), "noise": Noise()}, "f32"),
        ("westward", "pressure", "kept", {"mixup": Mixup(), "jitter": Jitter()}, "f32"),
        ("southward", "hybrid", "kept", _ALL, "bf16"),
    ],
)
def test_the_kernels_run_on_the_host_give_the_bits_of_the_twin(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    grid: str,
    layers: str,
    mass_flux: str,
    some: dict[str, Any],
    kind: str,
) -> None:
    policy = Policy(name="some", mass_flux=mass_flux, **some)
    call = Call(layout_of(grid, layers, 3), policy, kind == "bf16", monkeypatch)
    same(call, *on_host(call, kind, folder))


def test_kinds_of_things_are_taken_whole_by_both(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = (Block("soil", 0, "category"), Block("kinds", 3, "category"), Block.canonical("ps", 0))
    layout = Layout(blocks, grid_of("modele"), layers_of("hybrid", 3))
    call = Call(layout, Policy(name="some", **_ALL), False, monkeypatch)
    out, made = on_host(call, "f32", folder)
    same(call, out, made)
    values = out.reshape(-1, 3 + 2, *call.grid)[:, :4]
    assert np.isin(values, np.arange(-3.0, 4.0)).all()


def test_what_is_wrong_is_told_alike_by_both(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = layout_of("gaussian", "pressure", 3)

    def spoil(batch: np.ndarray) -> None:
        batch[1, 0, layout.slice("hus").start, 2, 3] = np.nan
        batch[2, :, layout.slice("pr")] = -1.0

    monkeypatch.setattr(chain, "raise_first", lambda *_: None)
    call = Call(layout, Policy(name="some", mixup=Mixup()), False, monkeypatch, spoil)
    _, made = on_host(call, "f32", folder)
    np.testing.assert_array_equal(made["wrong"], call.report.wrong)
    assert len(np.unique(made["wrong"])) > 2


@pytest.mark.parametrize("bfloat16", [False, True])
def test_a_chain_on_a_gpu_gives_what_it_gives_on_the_processor(
    folder: Path, monkeypatch: pytest.MonkeyPatch, bfloat16: bool
) -> None:
    """The GPU is one in name only: tensors of the CPU, and kernels run on the host."""
    torch = pytest.importorskip("torch")
    layout = layout_of("modele", "hybrid", 3)
    policy = chain.Chain(Policy(name="some", mass_flux="kept", **_ALL))
    batch = torch.from_numpy(synthetic(layout, 3, 2))
    batch = batch.bfloat16() if bfloat16 else batch
    more = {"seed": 11, "samples": _IDS, "spread": spread_of(layout)}
    wanted = policy(batch, layout, **more)
    kind = "bf16" if bfloat16 else "f32"

    def launched(own, other, out, globe, controls, blocks, draws, report):
        into = into_of(own.shape, own.pointer, other.pointer, out.pointer)
        made = on_addresses(into, kind, folder, (globe, controls, blocks, draws))
        report.own[...], report.wrong[...] = made["own_share"], made["wrong"]
        report.totals[...] = made["totals"]

    monkeypatch.setattr(memory, "on_gpu", lambda _: True)
    monkeypatch.setattr(augment_gpu, "augment_gpu", launched)
    monkeypatch.setattr(
        chain, "tensors", lambda held: {name: as_if(name, each) for name, each in held.items()}
    )
    found = policy(batch, layout, **more)
    assert torch.equal(found.out.view(torch.int16), wanted.out.view(torch.int16))
    for name, off in wanted.residuals.items():
        np.testing.assert_array_equal(found.residuals[name], off)
    np.testing.assert_array_equal(found.lam, wanted.lam)
    with pytest.raises(ConfigError, match="out: lies in the memory of batch"):
        policy(batch, layout, out=batch, **more)
    batch[1, 0, layout.slice("ta").start, 2, 3] = torch.nan
    with pytest.raises(ConfigError, match=r"ta: is nan in .* row 2, column 3"):
        policy(batch, layout, **more)


def as_if(name: str, array: Any) -> Tensor:
    """A tensor of the CPU as if it were on a GPU."""
    kind = str(array.dtype).removeprefix("torch.")
    place = array.data_ptr(), tuple(array.shape), tuple(array.stride())
    return Tensor(name, *place, kind, Stream(0, 0))


@pytest.mark.gpu
@pytest.mark.parametrize("bfloat16", [False, True])
def test_a_chain_really_on_a_gpu_gives_what_it_gives_on_the_processor(
    gpu_torch, bfloat16: bool
) -> None:
    layout = layout_of("modele", "hybrid", 3)
    policy = chain.Chain(Policy(name="some", mass_flux="kept", **_ALL))
    batch = gpu_torch.from_numpy(synthetic(layout, 3, 2))
    batch = batch.bfloat16() if bfloat16 else batch
    more = {"seed": 11, "samples": _IDS, "spread": spread_of(layout)}
    wanted, found = policy(batch, layout, **more), policy(batch.cuda(), layout, **more)
    words = gpu_torch.int16
    assert gpu_torch.equal(found.out.cpu().view(words), wanted.out.view(words))
    for name, off in wanted.residuals.items():
        np.testing.assert_array_equal(found.residuals[name], off)
