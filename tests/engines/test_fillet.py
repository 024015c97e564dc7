"""Our model against the published FILLET models; ``docs/fillet.py`` is the comparison itself."""

import os
from pathlib import Path

import pytest
from support import REPOSITORY

FOLDER = Path(
    os.environ.get("ASTROHPC_FILLET") or REPOSITORY.parent / "shared" / "data" / "fillet_ebm"
)

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason=f"no FILLET tables in {FOLDER}; set ASTROHPC_FILLET to a folder of them",
)


@pytest.fixture(autouse=True)
def _docs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(REPOSITORY / "docs")


@pytest.mark.parametrize("benchmark", ["ben1", "ben2"])
def test_benchmarks_lie_within_the_published_spread(benchmark: str) -> None:
    import fillet

    world, year = fillet.settle(fillet.Case(benchmark, 1.0, 23.5))
    panels = fillet.compare_profiles(FOLDER, benchmark, world, year)
    assert len(panels) == 4
    assert {panel.name: (panel.inside, panel.worst) for panel in panels} == {
        panel.name: (panel.total, 0.0) for panel in panels
    }


@pytest.mark.slow
def test_experiments_lie_within_the_published_spread() -> None:
    import fillet

    results = fillet.run_experiments(("exp1", "exp2"), processes=2)
    for name, runaways, shared in (("exp1", 0, 0), ("exp2", 73, 30)):
        panels = fillet.compare_curves(FOLDER, name, results[name])
        assert [panel for panel in panels if panel.inside < panel.total] == []
        assert sum(panel.total + panel.runaway for panel in panels) == 190
        # Beyond the moist limit there is no temperature to compare. ESTM, the published model with
        # such a limit, ends at 1.4 and 80°, and finds runaways in all of these cases that it has.
        assert sum(panel.runaway for panel in panels) == runaways
        assert sum(panel.runaway_shared for panel in panels) == shared
