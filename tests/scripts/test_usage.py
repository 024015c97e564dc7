"""What sacct prints of jobs becomes core-seconds and joules."""

from collections.abc import Sequence

import pytest

from astrohpc.slurm.client import SlurmClient
from astrohpc.slurm.usage import Usage, read, usage

TEXT = """\
71_0|COMPLETED|120|480|900
71_1|REQUEUED|30|120|200
71_1|COMPLETED|100|400|800
71_2|CANCELLED by 1000|50|200|300
71_[3-9]|PENDING|0|0|0
"""


def test_requeued_and_cancelled_attempts_count_and_those_that_wait_do_not() -> None:
    assert read(TEXT) == Usage(4, 1200.0, 320.0, 2200.0)


@pytest.mark.parametrize("energy", ["0", "", "18446744073709551614"])
def test_energy_that_one_record_lacks_is_not_measured(energy: str) -> None:
    assert read(TEXT.replace("|200\n", f"|{energy}\n")).joules is None
    assert read(TEXT.replace("|200\n", f"|{energy}\n")).core_s == 1200.0


def test_all_jobs_are_asked_for_at_once_with_what_was_requeued() -> None:
    asked: list[Sequence[str]] = []

    class Client(SlurmClient):
        def run(self, command: Sequence[str], timeout_s: float = 0, *, both: bool = False) -> str:
            asked.append(command)
            return TEXT

    assert usage(Client(), ["71", "9", "71"]).records == 4
    (command,) = asked
    assert "--jobs=71,9" in command
    assert {"--duplicates", "--allocations"} <= set(command)
    assert usage(Client(), []) == Usage(0, 0.0, 0.0, None)
    assert len(asked) == 1
