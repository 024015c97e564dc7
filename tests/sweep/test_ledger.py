"""The ledger: what is folded, and what a kill in the middle of a line leaves."""

from pathlib import Path

import pytest
from support import FakeClock

from astrohpc.errors import ConfigError
from astrohpc.slurm.request import Array, Resources
from astrohpc.sweep.ledger import Ledger, Submission, intent_fields


def submission(key: str = "abc123", **changes: object) -> Submission:
    values: dict[str, object] = {
        "key": key,
        "kind": "array",
        "name": f"demo.{key}",
        "time": 0.0,
        "array": Array(tasks=(0, 1, 2, 7), throttle=4, offset=40, pack=10),
        "resources": Resources(walltime_s=600, mem_mib=100, exclude=("node3",)),
    }
    made = Submission(**{**values, **changes})  # type: ignore[arg-type]
    made.throttle = made.array.throttle
    return made


@pytest.fixture
def ledger(tmp_path: Path, clock: FakeClock) -> Ledger:
    return Ledger(tmp_path / "events.jsonl", clock)


def test_an_intent_survives_the_round_trip(ledger: Ledger) -> None:
    sent = submission(time=ledger.clock.now())
    ledger.append("intent", **intent_fields(sent))
    assert ledger.fold().submissions == {"abc123": sent}
    assert not ledger.fold().open()[0].certain
    ledger.append("submitted", key="abc123", job="77")
    book = ledger.fold()
    assert book.open("array")[0].job == "77"
    assert book.open("keeper") == []
    ledger.append("closed", key="abc123", began=True)
    assert ledger.fold().open() == []


def test_a_submission_knows_its_members(ledger: Ledger) -> None:
    assert submission().members() == [*range(40, 70), *range(110, 120)]
    array = Array(tasks=(0, 1), throttle=4, pack=10, only=(3, 4, 15, 99))
    ledger.append("intent", **intent_fields(submission(array=array)))
    assert ledger.fold().submissions["abc123"].members() == [3, 4, 15]


def test_arrays_that_begin_nothing_are_counted(ledger: Ledger) -> None:
    for number, began in enumerate([False, True, False, False]):
        ledger.append("intent", **intent_fields(submission(f"k{number}")))
        ledger.append("closed", key=f"k{number}", began=began)
    assert ledger.fold().fruitless == 2


def test_the_scheduler_tells_which_tasks_are_live(ledger: Ledger) -> None:
    ledger.append("intent", **intent_fields(submission()))
    ledger.append("submitted", key="abc123", job="77")
    rows = [
        ["77", "COMPLETED", "None", "0,1"],
        ["77", "PENDING", "Priority", "7"],
        ["9", "RUNNING", "", ""],
    ]
    ledger.append("queried", queries=1, answered=True, jobs=rows)
    book = ledger.fold()
    assert book.submissions["abc123"].live == frozenset({7})
    assert book.submissions["abc123"].members() == list(range(110, 120))
    assert book.queries == 1


def test_a_silent_scheduler_changes_nothing_but_the_time(ledger: Ledger, clock: FakeClock) -> None:
    ledger.append("intent", **intent_fields(submission()))
    ledger.append("submitted", key="abc123", job="77")
    ledger.append("queried", queries=1, answered=False, jobs=[])
    book = ledger.fold()
    assert book.submissions["abc123"].live is None
    assert book.last_query == clock.now()


def test_half_a_last_line_is_dropped_and_mended(ledger: Ledger) -> None:
    ledger.append("created", members=3, digest="d")
    with ledger.path.open("a") as file:
        file.write('{"time": 5, "event": "inte')
    assert ledger.fold().blocks == [3]
    ledger.append("extended", members=2, total=5, digest="e")
    assert ledger.fold().blocks == [3, 2]
    assert [event["event"] for event in ledger.events()] == ["created", "extended"]


@pytest.mark.parametrize("line", ["not json", "[]", '{"time": 1}', "\x00\x00"])
def test_a_corrupt_line_is_named_with_the_remedy(ledger: Ledger, line: str) -> None:
    ledger.append("created", members=3, digest="d")
    with ledger.path.open("a") as file:
        file.write(line + "\n")
    ledger_bytes = ledger.path.read_bytes()
    with pytest.raises(
        ConfigError, match=r"events.jsonl: line 2 is not an event of ours .* remove that line"
    ):
        ledger.fold()
    assert ledger.path.read_bytes() == ledger_bytes


def test_an_event_that_lacks_a_field_is_named(ledger: Ledger) -> None:
    ledger.append("intent", key="abc123")
    with pytest.raises(ConfigError, match=r"the event 'intent' of .* lacks 'kind'; .* runs once"):
        ledger.fold()


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ('{"event": "created", "mem', "the same 'launch sweep' command again: members.tsv"),
        ('{"event": "intent", "ke', "queued twice then, and runs once"),
        ('{"event": "reopened", "m', "the command again that wrote it"),
        ('{"event": "closed", "k', "found again from the scheduler"),
        ("[" * 100_000, "but for what 'retry' and 'throttle' said"),
    ],
)
def test_the_remedy_for_a_corrupt_line_is_that_of_its_event(
    ledger: Ledger, line: str, remedy: str
) -> None:
    ledger.path.write_text(line + "\n")
    with pytest.raises(ConfigError, match=remedy):
        ledger.fold()


def test_a_submission_whose_intent_was_removed_is_passed_over_and_counted(ledger: Ledger) -> None:
    """Its number is not given again: two submissions of one key would be taken for one another."""
    for name in ("submitted", "shared_out", "closed"):
        ledger.append(name, key="lost11", job="1", at_once=2, began=True)
    ledger.append("intent", **intent_fields(submission()))
    book = ledger.fold()
    assert list(book.submissions) == ["abc123"]
    assert book.serial == 2


def test_forgiven_members_are_open_again(ledger: Ledger) -> None:
    ledger.append("settled", outcome="blown_up", members="3-5")
    ledger.append("reopened", members="4", attempts=[2])
    book = ledger.fold()
    assert set(book.settled) == {3, 5}
    assert book.reopened == {4: 2}


def test_an_unknown_event_of_a_later_version_is_passed_over(ledger: Ledger) -> None:
    ledger.append("shiny", anything=1)
    assert ledger.fold().submissions == {}
