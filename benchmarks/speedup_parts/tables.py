"""The result as tables that people read. Break-even stands beside every speed-up."""

import math
from collections.abc import Iterable
from typing import Any

from astrohpc.evaluate.cost import Bill, Solver, break_even, cheapest_of_equal_error, total_speed_up

QUESTIONS = (100, 1000, 10_000, 1_000_000)


def page(result: dict[str, Any]) -> str:
    """All tables, in Markdown."""
    mark = f" ({result['mark']} data)" if result["mark"] else ""
    return "\n\n".join(
        [
            _head(result, mark),
            f"### What the GCM's climates have cost{mark}",
            _bill(result["gcm"]),
            f"### What an answer takes{mark}",
            _answers(result),
            f"### Against each other solver{mark}",
            _against(result),
            f"### The question of 10,000 times{mark}",
            _whole(result),
        ]
    )


def _head(result: dict[str, Any], mark: str) -> str:
    about = result["provenance"]
    return (
        f"{result['source']}{mark}: {result['planets']['train']} planets trained on, "
        f"{result['planets']['test']} to judge by. Measured on {about['date']} with a load of "
        f"{about['load_before']} beforehand, on {about['machine']}, commit {about['commit'][:10]}; "
        f"{result['threads']} threads at most. {result['precision']}"
    )


def _bill(gcm: dict[str, Any]) -> str:
    rows = [
        ("attempts that finished a climate", gcm["finishing_core_s"]),
        ("attempts of the same members before that", gcm["repeated_core_s"]),
        ("members that are not done: failed, or wait to go on", gcm["unfinished_core_s"]),
        ("members at work when this was measured", gcm["running_core_s"]),
    ]
    whole = sum(value for _, value in rows)
    made = [(name, number(value), share(value, whole)) for name, value in rows]
    lines = [
        table(
            ("core-seconds, cores times elapsed time", "", "share"),
            [*made, ("all", number(whole), "")],
        ),
        f"{gcm['done']} climates ({gcm['settled']} settled) of {gcm['members']} members in {gcm['attempts']} "
        f"attempts, {number(gcm['model_years'])} model years; {gcm['cores']} "
        f"{'core' if gcm['cores'] == 1 else 'cores'} an attempt. A climate cost "
        f"**{number(gcm['core_s_a_climate'])} core-seconds** by the clock and "
        f"**{number(gcm['cpu_s_a_climate'])}** of processor time, all other attempts included; models computed in "
        f"{share(gcm['use'], 1.0)} of the time that they held.",
    ]
    if gcm["spin_up"] is not None:
        lines.append(
            f"{share(gcm['spin_up'], 1.0)} of the model years were spin-up, and are in every number."
        )
    if gcm["untold"]:
        lines.append(
            f"The states of {gcm['untold']} members cannot be read: what they took is missing."
        )
    cluster = gcm["cluster"]
    energy = "not measured"
    if cluster is None:
        lines.append(f"No cluster kept accounts of the jobs {', '.join(gcm['jobs'])}.")
    else:
        lines.append(
            f"The cluster's accounts of the jobs {', '.join(gcm['jobs'])}: {number(cluster['core_s'])} "
            f"core-seconds in {cluster['records']} records, {number(cluster['unfinished_core_s'])} of them in "
            "tasks that did not complete."
        )
        if cluster["joules"] is not None:
            energy = f"{number(cluster['joules'])} J"
    lines.append(f"Energy: {energy}.")
    return "\n\n".join(lines)


def _answers(result: dict[str, Any]) -> str:
    rows = []
    for name, one in result["answers"].items():
        first, batches = one["warm"]["one"], one["warm"]["batches"]
        best = min(batches.values(), key=lambda found: found["core_s_a_planet"])
        begun = one.get("cold")
        energy = one["warm"]["energy"]
        rows.append(
            (
                name,
                "–" if begun is None else f"{number(begun['wall_s'])} ({number(begun['core_s'])})",
                number(first["median_s"]),
                number(first["p95_s"]),
                number(first["core_s"]),
                number(best["core_s_a_planet"]),
                "not measured"
                if energy["joules_a_planet"] is None
                else number(energy["joules_a_planet"]),
                number(one["ts_rms_k"]),
                f"{one['skill']:.3f}",
            )
        )
        filed = one.get("with_file")
        if filed is not None:
            times = (number(filed[key]) for key in ("median_s", "p95_s", "core_s"))
            rows.append((f"{name}, with its file", "–", *times, "–", "–", "", ""))
    head = (
        "",
        "cold: s (core-s)",
        "warm: median s",
        "p95 s",
        "core-s",
        "core-s a planet of many",
        "J a planet of many",
        "error, K",
        "skill",
    )
    return (
        table(head, rows)
        + "\n\nCold is a new process from its start to the answer on disk. The surrogate's warm answer has intervals, "
        "the guard of its domain and projections; the other methods' are their bare predictions, and the cold one of "
        "neighbours is a table in numpy. The error is that of the sphere's mean surface temperature, rms over test "
        "planets; the skill is the mean over variables, against the mean of the planets trained on."
    )


def _against(result: dict[str, Any]) -> str:
    own = result["answers"][result["surrogate"]]
    query, cold = own["warm"]["one"]["core_s"], own["cold"]["core_s"]
    bill = Bill(**result["bill"])
    solvers = [Solver(**one) for one in result["solvers"]]
    short = [Solver(**one) for one in result["shorter"]]
    equal = cheapest_of_equal_error(short, own["ts_rms_k"])
    if equal is not None:
        solvers.insert(1, equal)
    rows = []
    for one in solvers:
        # A hundredth more is no other error: it is far within what so few planets tell.
        worse = one.error > 1.01 * own["ts_rms_k"]
        rows.append(
            (
                one.name,
                number(one.error),
                "no, worse" if worse else "yes",
                number(one.core_s),
                number(one.core_s / query),
                number(one.core_s / cold),
                number(break_even(bill, query, one.core_s, one.bill_core_s)),
            )
        )
    head = (
        f"{result['surrogate']} against",
        "error, K",
        "as good as it",
        "core-s an answer",
        "speed-up, warm",
        "speed-up, cold",
        "break-even Q*",
    )
    best = min(solvers, key=lambda one: (one.error > 1.01 * own["ts_rms_k"], one.core_s))
    return (
        table(head, rows)
        + f"\n\nThe surrogate's own error is {number(own['ts_rms_k'])} K; its bill before the first answer is "
        f"{number(bill.core_s)} core-seconds ({number(bill.data_core_s)} climates, {number(bill.search_core_s)} "
        f"search and fit, {number(bill.train_core_s)} training). Q* is the number of answers after which it has "
        f"cost less, its bill included, and that of a solver that needs the same climates. Shorter runs and the energy-balance model are judged by the "
        f"sphere's mean surface temperature alone; of the surrogate's fields the latter says nothing. {_fair(best, own)}"
    )


def _fair(best: Solver, own: dict[str, Any]) -> str:
    ratio = best.core_s / own["warm"]["one"]["core_s"]
    if best.error > 1.01 * own["ts_rms_k"]:
        return "No other solver here is as good as it."
    return f"The cheapest solver that is as good is: {best.name}; against it the speed-up is {number(ratio)}."


def _whole(result: dict[str, Any]) -> str:
    gcm = result["solvers"][0]
    gcm_clock = result["gcm"]["core_s_a_climate"]
    query = result["answers"][result["surrogate"]]["warm"]["one"]["core_s"]
    bill = Bill(**result["bill"])
    rows = [
        (f"{count:,}", number(total_speed_up(count, bill, query, gcm["core_s"])))
        for count in QUESTIONS
    ]
    ratio = gcm["core_s"] / query
    verdict = "yes" if ratio >= 10_000 else "no"
    needed = break_even_at(bill, query, gcm["core_s"], 10_000.0)
    return (
        f"Is a warm answer 10,000 times cheaper than a climate of the GCM, in core-seconds? **{verdict}: "
        f"{number(ratio)} times** by processor time, and {number(gcm_clock / query)} by what a cluster charges; with its break-even at **{number(break_even(bill, query, gcm['core_s']))} "
        "answers**. Both hand over a time-mean climatology of one planet: the GCM steps through its trajectory to "
        "get there, and the surrogate does not, which is the whole of the factor. With the bill included:\n\n"
        + table(("answers", "speed-up in all"), rows)
        + "\n\nTen thousand times in all "
        + ("is never reached." if math.isinf(needed) else f"would take {number(needed)} answers.")
    )


def break_even_at(bill: Bill, query_core_s: float, other_core_s: float, factor: float) -> float:
    """Answers after which the surrogate has cost a ``factor`` less, its bill included; infinite if never."""
    gained = other_core_s / factor - query_core_s
    return bill.core_s / gained if gained > 0 else math.inf


# ----------------------------------------------------------------------------- words
def number(value: float) -> str:
    """Three digits that count."""
    if math.isnan(value):
        return "not counted"
    if math.isinf(value):
        return "never"
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}" if abs(value) >= 1e-3 else f"{value:.2e}"


def share(value: float, whole: float) -> str:
    """Of a whole."""
    return "–" if not whole or math.isnan(value) else f"{100 * value / whole:.0f} %"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """In Markdown."""
    lines = [list(head), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
