"""Checkpoints: whole or not there, every damage found, the one before used, nothing executed."""

import json
import os
import random
import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support_train import Told, digests, settings_of, trainer_in

from astrohpc.errors import ConfigError
from astrohpc.train import checkpoint
from astrohpc.train.async_save import Saver, Snapshot
from astrohpc.train.checkpoint import folder_of, read_manifest, steps_there, verify
from astrohpc.train.migrate import VERSION
from astrohpc.train.nested import put_together, take_apart
from astrohpc.train.tensorfile import TensorFile, Unreadable, write_tensors


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run with checkpoints of steps 6, 12 and 18, and its data."""
    from support_train import make_arrays

    base = tmp_path_factory.mktemp("trained")
    data = make_arrays(base / "data")
    trainer_in(base / "run", settings_of(data, steps=18)).run()
    return base / "run", data


@pytest.fixture
def run(trained: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained[0], tmp_path / "run"))


def damage(folder: Path, draw: random.Random) -> str:
    """Do to a checkpoint what disks and people do; what was done."""
    path = draw.choice(sorted(folder.iterdir()))
    data = bytearray(path.read_bytes())
    kind = draw.choice(["flip", "cut", "grow", "remove", "zeros", "swap"])
    if kind == "flip":
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif kind == "cut":
        del data[draw.randrange(len(data)) :]
    elif kind == "grow":
        data += b"x"
    elif kind == "zeros":
        at = draw.randrange(len(data))
        data[at : at + 64] = bytes(b ^ 0x55 for b in data[at : at + 64])
    elif kind == "swap":
        other = draw.choice([p for p in sorted(folder.iterdir()) if p != path])
        data = bytearray(other.read_bytes())
    if kind == "remove":
        path.unlink()
    else:
        path.write_bytes(data)
    return f"{kind} {path.name}"


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_checkpoint_is_found_and_the_one_before_is_used(
    run: Path, trained: tuple[Path, Path], told: Told, seed: int
) -> None:
    newest = folder_of(run / "checkpoints", 18)
    done = damage(newest, random.Random(seed))
    trainer = trainer_in(run, settings_of(trained[1], steps=18), say=told.append)
    before = digests(trained[0], 18)
    assert trainer.run() == "done"
    assert "the checkpoint of step 18 is damaged (" in told.all, done
    assert "going on from step 12 of 18" in told.all, done
    assert digests(run, 18) == before  # and it is written again as it was


def test_where_none_is_whole_nothing_begins_anew(run: Path, trained: tuple[Path, Path]) -> None:
    for step in steps_there(run / "checkpoints"):
        (folder_of(run / "checkpoints", step) / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="none of its 3 checkpoints is whole; put back a copy"):
        trainer_in(run, settings_of(trained[1])).run()


def test_one_of_a_newer_version_is_refused(run: Path, trained: tuple[Path, Path]) -> None:
    folder = folder_of(run / "checkpoints", 18)
    manifest = read_manifest(folder)
    newer = checkpoint.Manifest(**{**vars(manifest), "version": VERSION + 1})
    (folder / checkpoint.MANIFEST).write_text(newer.text())
    with pytest.raises(ConfigError, match=f"newer astrohpc .*{VERSION + 1}.*up to {VERSION}"):
        trainer_in(run, settings_of(trained[1])).run()


def test_half_a_save_is_swept_up(run: Path, trained: tuple[Path, Path]) -> None:
    part = run / "checkpoints" / ".part-step-000000024"
    part.mkdir()
    (part / "done-00000").write_text("{}")
    assert trainer_in(run, settings_of(trained[1])).run() == "done"
    assert not part.exists()
    assert steps_there(run / "checkpoints") == [24, 18, 12]


@pytest.fixture
def small_disk() -> Iterator[int]:
    """Files may not grow beyond so many bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield 4096
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.parametrize("background", [True, False])
def test_a_disk_that_is_full_ends_it_and_harms_nothing(
    run: Path, trained: tuple[Path, Path], small_disk: int, background: bool, told: Told
) -> None:
    settings = settings_of(
        trained[1], steps=40, log={"every_steps": 1000}, checkpoint={"background": background}
    )
    trainer = trainer_in(run, settings, say=told.append)
    resource.setrlimit(resource.RLIMIT_FSIZE, (small_disk, resource.RLIM_INFINITY))
    with pytest.raises(ConfigError, match=r"checkpoint of step 24: .*File too large"):
        trainer.run()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    checkpoints = run / "checkpoints"
    assert steps_there(checkpoints) == [18, 12, 6]
    manifest = read_manifest(folder_of(checkpoints, 18))
    assert verify(folder_of(checkpoints, 18), manifest, list(manifest.files)) == []
    assert not list(checkpoints.glob(".part-*"))
    assert "TensorBoard's file cannot be written (File too large)" in told.all


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    saver = Saver(tmp_path, 0, 1, keep=2)
    for step, score in ((1, 0.5), (2, 0.1), (3, None), (4, 0.3), (5, None)):
        saver.save(Snapshot(step, {"model": {"w": torch.ones(2) * step}}, {}, {}, score))
    saver.wait()
    assert steps_there(tmp_path) == [5, 4, 2]
    assert TensorFile(folder_of(tmp_path, 2) / "model.safetensors")["w"].tolist() == [2, 2]


def test_what_is_saved_is_of_the_moment_of_saving(tmp_path: Path) -> None:
    saver, weights = Saver(tmp_path, 0, 1, keep=3), torch.zeros(1 << 16)
    for step in range(1, 4):
        weights.fill_(step)
        saver.save(Snapshot(step, {"model": {"w": weights}}, {}, {}))
        saver.before_change()
        weights.fill_(-1)
    saver.wait()
    for step in range(1, 4):
        saved = TensorFile(folder_of(tmp_path, step) / "model.safetensors")["w"]
        assert saved.unique().tolist() == [step]


def test_ranks_meet_by_files_and_a_silent_one_is_named(tmp_path: Path) -> None:
    savers = [Saver(tmp_path, rank, 2, keep=2, patience_s=60) for rank in range(2)]
    for rank in (0, 1):
        savers[rank].save(Snapshot(3, {f"rank-{rank:05d}": {"r": torch.tensor(rank)}}, {}, {}))
    for saver in savers:
        saver.wait()
    manifest = read_manifest(folder_of(tmp_path, 3))
    assert sorted(manifest.files) == ["rank-00000.safetensors", "rank-00001.safetensors"]
    alone = Saver(tmp_path, 0, 2, keep=2, patience_s=0.1)
    alone.save(Snapshot(4, {}, {}, {}))
    with pytest.raises(ConfigError, match=r"step 4: rank 1 has not written its part within 0.1 s"):
        alone.wait()
    assert steps_there(tmp_path) == [3]


TENSORS = {
    "a b/c": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)),
    "scalar": torch.tensor(7, dtype=torch.int64),
    "empty": torch.empty(0, 5),
    "half": torch.arange(5).to(torch.bfloat16),
    "flags": torch.tensor([True, False]),
    "turned": torch.arange(6.0).reshape(2, 3).T,
    "double": torch.tensor([1e-300, float("nan"), float("inf")], dtype=torch.float64),
}


def test_tensors_come_back_with_their_bits(tmp_path: Path) -> None:
    size, _ = write_tensors(tmp_path / "t", TENSORS)
    assert (tmp_path / "t").stat().st_size == size
    found = TensorFile(tmp_path / "t")
    assert list(found) == list(TENSORS)
    assert torch.equal(found.rows("a b/c", 1, 3), TENSORS["a b/c"][1:3])
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(
            found[name].contiguous().view(-1).view(torch.uint8),
            tensor.contiguous().view(-1).view(torch.uint8),
        ), name


def test_no_cut_of_a_file_of_tensors_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write_tensors(path, TENSORS)
    whole = path.read_bytes()
    for length in [*range(0, 64), len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(Unreadable):
            dict(TensorFile(path))


@pytest.mark.parametrize(
    "header",
    [
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
        {"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
        {"w": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4 * 10**9]}},
        {"w": {"dtype": "pickle", "shape": [1], "data_offsets": [0, 4]}},
        {"w": [1]},
        [1, 2],
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, header: object) -> None:
    text = json.dumps(header).encode()
    (tmp_path / "t").write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    with pytest.raises(Unreadable):
        TensorFile(tmp_path / "t")


def test_an_optimiser_s_state_comes_back_as_it_was() -> None:
    value = {
        "state": {0: {"step": torch.tensor(3.0), "m": torch.ones(2)}, 5: {}},
        "param_groups": [
            {"lr": 0.1, "betas": (0.9, 0.95), "params": [0, 5], "fused": None, "a": True}
        ],
    }
    tensors: dict[str, torch.Tensor] = {}
    plain = json.loads(json.dumps(take_apart(value, tensors, "optimizer")))
    assert sorted(tensors) == ["optimizer.state.0.m", "optimizer.state.0.step"]
    assert put_together(plain, tensors) == value
    with pytest.raises(TypeError, match=r"x\.odd: set cannot be saved"):
        take_apart({"odd": {1}}, tensors, "x")


def test_nothing_of_a_checkpoint_is_executed(run: Path) -> None:
    kinds = {path.suffix for path in folder_of(run / "checkpoints", 18).iterdir()}
    assert kinds == {".safetensors", ".json"}
    for source in Path(checkpoint.__file__).parent.glob("*.py"):
        assert "import pickle" not in source.read_text(), source
        assert "torch.load" not in source.read_text(), source


def test_files_of_a_checkpoint_are_readable_by_the_group(run: Path) -> None:
    masks = {os.stat(p).st_mode & 0o444 for p in folder_of(run / "checkpoints", 18).iterdir()}
    assert masks == {0o444}
