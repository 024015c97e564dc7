"""The breaker: what fails alike for every member must not fail a thousand times.

A configuration error is the same for all. Without a daemon, the only ones who can notice in time are
the jobs themselves: each bad configuration leaves a line, and a job that finds enough of them begins
nothing. The next launcher sees the same lines and stops the sweep until a person says ``retry``.
"""

import contextlib
import json
import re

from astrohpc.sweep.folder import SweepFolder


def signature(reason: str) -> str:
    """A reason without the parts that differ from member to member: numbers and paths."""
    return re.sub(r"(/\S+|[0-9a-f]{16}|\d+(\.\d+)?)", "…", reason)


def note_failure(folder: SweepFolder, member: str, reason: str) -> None:
    """Leave a line; one that gets lost only delays the breaker."""
    with contextlib.suppress(OSError), folder.breaker.open("a") as file:
        file.write(json.dumps({"id": member, "reason": reason}) + "\n")


def tripped(folder: SweepFolder, limit: int) -> str:
    """Why nothing should begin any more, or an empty text."""
    alike: dict[str, set[str]] = {}
    with contextlib.suppress(FileNotFoundError):
        for line in folder.breaker.read_text().splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                failure = json.loads(line)
                alike.setdefault(signature(failure["reason"]), set()).add(failure["id"])
    for reason, members in alike.items():
        if len(members) >= limit:
            return f"{len(members)} members failed alike: {reason}"
    return ""


def reset(folder: SweepFolder) -> None:
    """Forget the failures."""
    folder.breaker.unlink(missing_ok=True)
