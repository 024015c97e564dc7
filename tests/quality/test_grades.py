"""Grades are shares of what was judged, with their limits counted in."""

import pytest

from astrohpc.quality.grades import grade


@pytest.mark.parametrize(
    ("passed", "judged", "expected"),
    [
        (1000, 1000, "A+"),
        (98, 100, "A+"),
        (979, 1000, "A"),
        (95, 100, "A"),
        (19, 20, "A"),
        (949, 1000, "B"),
        (90, 100, "B"),
        (85, 100, "C"),
        (849, 1000, "F"),
        (0, 1, "F"),
        (0, 0, "—"),
    ],
)
def test_limits_belong_to_the_better_grade(passed: int, judged: int, expected: str) -> None:
    assert grade(passed, judged) == expected
