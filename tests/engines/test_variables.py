"""The table of canonical variables: whole, free of contradictions, and as the documentation shows it."""

import pytest
from support import REPOSITORY

from astrohpc.engines.variables import ENGINES, EXOPLASIM, MODELE, VARIABLES, required, table


def test_the_documentation_shows_the_table_of_the_code() -> None:
    text = (REPOSITORY / "docs" / "variables.md").read_text()
    shown = text.split("<!-- table -->\n")[1].split("<!-- /table -->")[0]
    assert shown == table(), "regenerate the table in docs/variables.md from variables.table()"


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_makes_all_that_it_must_and_nothing_unknown(engine: str) -> None:
    sources = ENGINES[engine]
    assert set(sources) <= set(VARIABLES)
    assert set(required(gcm=engine != "ebm")) <= set(sources)


def test_names_that_mean_the_same_are_one_variable() -> None:
    for variable in VARIABLES.values():
        assert variable.low < variable.high
        assert variable.positive in ("", "up", "down")
    layered = {name for name, variable in VARIABLES.items() if variable.layered}
    assert {name for name, source in MODELE.items() if source.place in ("aijl", "aijk")} == layered


def test_a_source_reads_as_a_sum() -> None:
    assert str(MODELE["rsut"]) == "incsw_toa − srnf_toa"
    assert str(MODELE["ts"]) == "tgrnd + 273.15"
    assert str(EXOPLASIM["evspsbl"]) == "−1000 evap"
    assert str(MODELE["pr"]) == "prec per day"
