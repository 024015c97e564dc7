"""sbatch's small languages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrohpc.errors import ConfigError
from astrohpc.slurm.directives import (
    format_indices,
    format_walltime,
    parse_indices,
    parse_mem_mib,
    parse_walltime_s,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:30:00", 1800), ("1-00:00:00", 86400), ("90 min", 5400), ("2h", 7200), ("1.5 d", 129600)],
)
def test_walltimes(text: str, seconds: int) -> None:
    assert parse_walltime_s(text, "w") == seconds


@pytest.mark.parametrize(
    "text", ["30", "30:00", "soon", "-1 h", "00:00:00", "1:2:3", "0 h", "", "1e3 s"]
)
def test_walltimes_that_slurm_would_read_otherwise_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"allocation.walltime: .* write"):
        parse_walltime_s(text, "allocation.walltime")


@given(st.integers(1, 10**7))
def test_a_walltime_is_rounded_up_to_minutes_and_never_down(seconds: int) -> None:
    assert 0 <= parse_walltime_s(format_walltime(seconds), "w") - seconds < 60


@pytest.mark.parametrize(
    ("text", "mib"), [("4 GiB", 4096), ("500M", 500), ("1.5 GB", 1536), ("1 TiB", 1024**2)]
)
def test_memory(text: str, mib: int) -> None:
    assert parse_mem_mib(text, "m") == mib


@pytest.mark.parametrize("text", ["4", "4 KiB", "lots", "0 GiB", "-1 GiB", ""])
def test_memory_without_a_sensible_unit_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"allocation.memory: .* write for example '4 GiB'"):
        parse_mem_mib(text, "allocation.memory")


@given(st.sets(st.integers(0, 2000), min_size=1))
def test_index_lists_survive_the_round_trip(indices: set[int]) -> None:
    assert parse_indices(format_indices(indices)) == sorted(indices)


def test_slurm_s_own_spellings_are_read() -> None:
    assert parse_indices("0-2,5,8-12:2%4") == [0, 1, 2, 5, 8, 10, 12]
