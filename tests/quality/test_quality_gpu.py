"""Checks with sums of a GPU: one in name only, which runs the kernel on the host, and one where one is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import FakeClock
from support_cuda import library_in_name_only, zonal_in_name_only
from support_quality import World, quiet, write_world

from astrohpc.errors import ConfigError
from astrohpc.kernels.build import NoKernel
from astrohpc.quality import gpu
from astrohpc.quality.gpu import fields_on_gpu, own_gpu
from astrohpc.quality.request import request_of
from astrohpc.quality.results import MemberResult
from astrohpc.quality.run import check
from astrohpc.quality.settings import CheckSettings
from astrohpc.store.ranks import Alone


def noisy(**given: np.ndarray) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    made = {name: one * (1 + 0.01 * rng.random(one.shape)) for name, one in quiet().items()}
    return {**made, **given}


def member(path: Path, device: Any) -> MemberResult:
    """What a check says of the one member of a file."""
    request = request_of(path, CheckSettings(device=device), place=path.with_name(device))
    outcome = check(request, Alone(), 1, FakeClock(), lambda: False, lambda _text: None)
    assert outcome is not None and outcome.report is not None
    (one,) = outcome.report.members
    return one


@pytest.mark.parametrize("wrong", [None, np.nan, np.inf])
def test_a_gpu_in_name_gives_the_report_of_the_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: float | None
) -> None:
    ta = noisy()["ta"]
    if wrong is not None:
        ta[1, 1, 1, 1] = wrong
    write_world(tmp_path / "a.nc", World(fields=noisy(ta=ta)))
    wanted = member(tmp_path / "a.nc", "cpu")
    sent = []
    library = library_in_name_only()
    its_own = library.asarray
    library.asarray = lambda values: sent.append(values) or its_own(values)
    monkeypatch.setattr(gpu, "cupy", lambda: library)
    zonal_in_name_only(tmp_path, monkeypatch)
    found = member(tmp_path / "a.nc", "cuda")
    assert sent
    assert repr(found) == repr(wanted)
    assert ("ta" in str(wanted.faults)) == (wrong is not None)


def test_where_no_gpu_is_it_is_said_how_to_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Any:
        raise NoKernel("CuPy sees no GPU here")

    monkeypatch.setattr(gpu, "cupy", none)
    with pytest.raises(ConfigError, match=r"device: .* sees no GPU .* check.device=cpu"):
        fields_on_gpu(quiet())


def test_ranks_of_one_node_take_turns_on_its_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMPI_COMM_WORLD_LOCAL_RANK", raising=False)
    monkeypatch.setenv("SLURM_LOCALID", "5")
    assert [own_gpu(count) for count in (1, 4, 8)] == [0, 1, 5]
    monkeypatch.delenv("SLURM_LOCALID")
    assert own_gpu(4) == 0


@pytest.mark.gpu
def test_a_gpu_gives_the_report_of_the_processor(tmp_path: Path, gpu_torch: Any) -> None:
    write_world(tmp_path / "a.nc", World(fields=noisy()))
    assert repr(member(tmp_path / "a.nc", "cuda")) == repr(member(tmp_path / "a.nc", "cpu"))
