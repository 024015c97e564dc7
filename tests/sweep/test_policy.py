"""The policy table: every outcome has a bounded answer that follows from the attempts alone."""

from dataclasses import replace

import pytest

from astrohpc.errors import ConfigError
from astrohpc.launch.compose import compose
from astrohpc.settings import build
from astrohpc.slurm.request import Resources
from astrohpc.sweep.policy import Decision, Policy, decide
from astrohpc.sweep.state import Attempt

BASE = Resources(walltime_s=3600, mem_mib=1000)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return build(Policy, compose([])["policy"], "policy")


def attempts(
    *ends: str, years: tuple[float | None, ...] = (), host: str = "node1"
) -> list[Attempt]:
    padded = years + (None,) * (len(ends) - len(years))
    return [
        Attempt(n=i + 1, job=f"{i}_0", host=host, started=0, ended=1, outcome=end, model_years=year)
        for i, (end, year) in enumerate(zip(ends, padded, strict=True))
    ]


def answer(policy: Policy, tries: list[Attempt], **limits: int) -> Decision:
    return decide(tries, policy, BASE, engine="ebm", **limits)  # type: ignore[arg-type]


def test_checkpoints_go_on_for_as_long_as_they_get_anywhere(policy: Policy) -> None:
    tries = attempts(*["checkpointed"] * 30, years=tuple(range(1, 31)))
    assert answer(policy, tries).action == "continue"
    assert answer(policy, tries).resources == BASE
    stuck = attempts("checkpointed", "checkpointed", "checkpointed", years=(5.0, 5.0, 5.0))
    assert answer(policy, stuck).action == "stop"
    assert "made no progress" in answer(policy, stuck).why


def test_memory_grows_with_each_failure_up_to_what_a_node_has(policy: Policy) -> None:
    assert answer(policy, attempts("out_of_memory")).resources.mem_mib == 1500
    twice = answer(policy, attempts("out_of_memory", "out_of_memory"), max_mem_mib=8000)
    assert (twice.action, twice.resources.mem_mib) == ("more_memory", 2250)
    capped = answer(policy, attempts("out_of_memory", "out_of_memory"), max_mem_mib=2000)
    assert (capped.action, capped.resources.mem_mib) == ("more_memory", 2000)
    over = answer(policy, attempts("out_of_memory", "out_of_memory"), max_mem_mib=1400)
    assert (over.action, "no node has more" in over.why) == ("stop", True)
    assert answer(policy, attempts(*["out_of_memory"] * 4)).action == "stop"


def test_memory_that_was_needed_once_is_kept_for_later_attempts(policy: Policy) -> None:
    tries = attempts("out_of_memory", "node_failed", years=(1.0, 2.0))
    assert answer(policy, tries).resources.mem_mib == 1500


def test_a_timeout_that_got_further_goes_on_and_one_that_did_not_gets_more_time(
    policy: Policy,
) -> None:
    further = answer(policy, attempts("timed_out", "timed_out", years=(10.0, 20.0)))
    assert (further.action, further.resources.walltime_s) == ("continue", 3600)
    stuck = answer(policy, attempts("timed_out", years=(None,)))
    assert (stuck.action, stuck.resources.walltime_s) == ("more_time", 5400)
    capped = answer(policy, attempts("timed_out", years=(None,)), max_walltime_s=4000)
    assert capped.resources.walltime_s == 4000


def test_a_failed_node_is_avoided(policy: Policy) -> None:
    decision = answer(policy, attempts("node_failed", host="node7"))
    assert (decision.action, decision.resources.exclude) == ("elsewhere", ("node7",))


def test_a_blow_up_is_never_repeated_but_remedied_or_stopped(policy: Policy) -> None:
    decision = answer(policy, attempts("blown_up"))
    assert (decision.action, decision.overrides, decision.runs) == (
        "remedy",
        {"step_days": 0.5},
        False,
    )
    assert answer(policy, attempts("blown_up"), branches=2).action == "stop"
    other = decide(attempts("blown_up"), policy, BASE, engine="of_your_own")
    assert (other.action, "no remedy is declared" in other.why) == ("stop", True)


def test_a_bad_configuration_stops_at_once(policy: Policy) -> None:
    assert answer(policy, attempts("bad_config")).action == "stop"


def test_the_unknown_is_tried_again_twice(policy: Policy) -> None:
    assert answer(policy, attempts("unknown", "unknown")).runs
    assert not answer(policy, attempts("unknown", "unknown", "unknown")).runs


def test_forgiveness_is_forgetting(policy: Policy) -> None:
    tries = attempts(*["out_of_memory"] * 4)
    assert answer(policy, tries[3:]).runs


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rules": {"exploded": {"action": "stop"}}}, r"rules.exploded: there is no such outcome"),
        ({"rules": {}}, r"rules.checkpointed: this outcome has no rule"),
        ({"breaker": 0}, "breaker: it counts equal failures"),
    ],
)
def test_an_incomplete_table_is_refused(
    policy: Policy, change: dict[str, object], said: str
) -> None:
    written = {**compose([])["policy"], **change}
    if change.get("rules"):
        written["rules"] = {**compose([])["policy"]["rules"], **change["rules"]}  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match=said):
        build(Policy, written, "policy")


def test_equal_attempts_give_equal_decisions(policy: Policy) -> None:
    tries = attempts("out_of_memory", "timed_out", "preempted", years=(None, 3.0, 4.0))
    shifted = [replace(attempt, started=99.0, job="x") for attempt in tries]
    assert answer(policy, tries) == answer(policy, shifted)
