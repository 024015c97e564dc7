"""augment.cu against its twin: on the host always, on a GPU where one is. All fields are synthetic."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support_cuda import host_kernels

sys.path.insert(0, str(Path(__file__).parents[1] / "augment"))  # for support_augment
from support_augment import grid_of, layers_of, layout_of, spread_of, synthetic

from astrohpc.augment import chain
from astrohpc.augment.policy import CutMix, Elastic, Jitter, Mixup, Noise, Policy
from astrohpc.kernels import augment_gpu
from astrohpc.kernels.desk import Report
from astrohpc.kernels.sources import SOURCES
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
    run = host_kernels(SOURCES["augment"].text({"X": kind}), augment_gpu.KERNELS, folder)
    blocks = call.ground[2]
    samples, times, channels, _ = call.own.shape
    sizes = augment_gpu.sizes_of((samples, times, channels, *call.grid), blocks)
    n_blocks = len(blocks.table)
    grids = augment_gpu.grids_of(sizes, n_blocks, 5)
    shapes = {
        **augment_gpu.scratch_shapes(sizes),
        **augment_gpu.found_shapes(sizes, n_blocks),
        "out": (call.own.shape, call.own.dtype),
        "draft": ((max(grids.values()), sizes["draft_channels"], call.own.shape[3]), np.float32),
    }
    made = {name: np.full(shape, 77, dtype) for name, (shape, dtype) in shapes.items()}
    made["wrong"][...], made["totals"][...] = 0, 0.0
    place = {name: array.ctypes.data for name, array in made.items()}
    draft = place["out"] if kind == "f32" else place["draft"]
    tensors = {"own": call.own.ctypes.data, "other": call.other.ctypes.data}
    tensors |= {"out": place["out"], "draft": draft}
    arrays = augment_gpu.arrays_of(*call.ground)
    held = {name: array.ctypes.data for name, array in arrays.items()}
    words = augment_gpu.job(tensors, sizes, held, place, *call.ground)
    for name in augment_gpu.KERNELS:
        shared = augment_gpu.shared_bytes(sizes["rows"])
        run[name]((grids[name],), 64, words, shared_bytes=shared)
    return made["out"], made


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


@pytest.mark.gpu
@pytest.mark.parametrize("bfloat16", [False, True])
def test_the_kernels_on_a_gpu_give_the_bits_of_the_twin(
    gpu_torch, monkeypatch: pytest.MonkeyPatch, bfloat16: bool
) -> None:
    from astrohpc.kernels.tensors import tensor

    policy = Policy(name="some", mass_flux="kept", **_ALL)
    call = Call(layout_of("modele", "hybrid", 3), policy, bfloat16, monkeypatch)
    shape = (*call.own.shape[:3], *call.grid)
    own = gpu_torch.from_numpy(call.own.reshape(shape)).cuda()
    own = own.view(gpu_torch.bfloat16) if bfloat16 else own
    out = gpu_torch.empty_like(own)
    held = {name: tensor(name, each) for name, each in (("batch", own), ("out", out))}
    samples, times, n_blocks = *shape[:2], len(call.ground[2].table)
    report = Report(
        np.zeros(samples),
        np.zeros((samples, times, n_blocks), np.int64),
        np.zeros((samples, times, n_blocks, 3)),
    )
    augment_gpu.augment_gpu(held["batch"], held["batch"], held["out"], *call.ground, report)
    out = out.view(gpu_torch.uint16) if bfloat16 else out
    made = {"own_share": report.own, "wrong": report.wrong, "totals": report.totals}
    same(call, out.cpu().numpy().reshape(call.own.shape), made)
