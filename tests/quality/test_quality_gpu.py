"""Sums by torch, which a GPU makes, against those of the CPU; the GPU itself is used where one is."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from support import FakeClock
from support_quality import World, quiet, write_world

from astrohpc.engines.variables import VARIABLES
from astrohpc.physics.sums import zonal_sums
from astrohpc.quality.gpu import own_gpu, sums_by_torch
from astrohpc.quality.holder import FileMember
from astrohpc.quality.request import request_of
from astrohpc.quality.run import check
from astrohpc.quality.settings import CheckSettings
from astrohpc.quality.subject import Subject, subject_of
from astrohpc.store.members import MemberFiles
from astrohpc.store.ranks import Alone

torch = pytest.importorskip("torch", reason="torch is not installed: the extra train has it")


def subject(path: Path, **given: np.ndarray) -> Subject:
    rng = np.random.default_rng(2)
    noisy = {name: one * (1 + 0.01 * rng.random(one.shape)) for name, one in quiet().items()}
    write_world(path, World(fields={**noisy, **given}))
    return subject_of(FileMember(MemberFiles("", (path,))), "here", VARIABLES)


def test_sums_by_torch_are_those_of_the_cpu(tmp_path: Path) -> None:
    made = subject(tmp_path / "a.nc")
    assert made.layout is not None
    ((_, block),) = made.blocks()
    ours, theirs = (
        zonal_sums(block, made.layout, threads=1),
        sums_by_torch(block, made.layout, "cpu"),
    )
    assert theirs is not None
    for field in fields(ours):
        np.testing.assert_allclose(
            getattr(theirs, field.name), getattr(ours, field.name), rtol=1e-13, err_msg=field.name
        )


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_block_with_values_that_are_no_numbers_is_left_to_the_cpu(
    tmp_path: Path, wrong: float
) -> None:
    ta = quiet()["ta"].copy()
    ta[1, 1, 1, 1] = wrong
    made = subject(tmp_path / "a.nc", ta=ta)
    assert made.layout is not None
    ((_, block),) = made.blocks()
    assert sums_by_torch(block, made.layout, "cpu") is None


def test_ranks_of_one_node_take_turns_on_its_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMPI_COMM_WORLD_LOCAL_RANK", raising=False)
    monkeypatch.setenv("SLURM_LOCALID", "5")
    assert [own_gpu(count) for count in (1, 4, 8)] == [0, 1, 5]
    monkeypatch.delenv("SLURM_LOCALID")
    assert own_gpu(4) == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")
def test_a_gpu_gives_the_report_of_the_cpu(tmp_path: Path) -> None:
    subject(tmp_path / "a.nc")
    reports = []
    for device in ("cpu", "cuda"):
        request = request_of(
            tmp_path / "a.nc", CheckSettings(device=device), place=tmp_path / device
        )
        outcome = check(request, Alone(), 1, FakeClock(), lambda: False, lambda _text: None)
        assert outcome is not None and outcome.report is not None
        reports.append(outcome.report)
    for one, other in zip(reports[0].members[0].laws, reports[1].members[0].laws, strict=True):
        assert (one.judged, one.passed) == (other.judged, other.passed)
        assert one.residual == pytest.approx(other.residual, rel=1e-9, abs=1e-9)
