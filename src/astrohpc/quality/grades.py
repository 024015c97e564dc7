"""Grades: which share of all that was judged keeps its tolerance."""

GRADES = (("A+", 0.98), ("A", 0.95), ("B", 0.90), ("C", 0.85))
_LAST, _NONE = "F", "—"


def grade(passed: int, judged: int) -> str:
    """The grade of ``passed`` among ``judged`` pairs of sample and law; a dash where nothing was judged.

    >>> grade(98, 100), grade(97, 100), grade(84, 100), grade(0, 0)
    ('A+', 'A', 'F', '—')
    """
    if not judged:
        return _NONE
    # As whole numbers would: 0.95 is not 95/100 in binary, but it is what people mean.
    share = round(passed / judged, 12)
    return next((name for name, least in GRADES if share >= least), _LAST)
