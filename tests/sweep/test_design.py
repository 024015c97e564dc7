"""Designs: the same words give the same planets, and growing one leaves the old ones alone."""

import math
from pathlib import Path

import pytest

from astrohpc.errors import ConfigError
from astrohpc.planet import Planet
from astrohpc.settings import build
from astrohpc.sweep.design import Design, draw

FIXED = {
    "radius": "1 R_earth",
    "gravity": "9.8 m/s2",
    "rotation_period": "1 d",
    "surface_pressure": "1 bar",
    "ch4": 0,
    "stellar_temperature": "5772 K",
}
AXES = {
    "stellar_flux": {"low": "800 W/m2", "high": "1700 W/m2"},
    "co2": {"low": "10 ppm", "high": "10 percent", "scale": "log"},
}


def design(**changes: object) -> Design:
    written = {"name": "t", "design": "sobol", "n": 16, "seed": 3, "axes": AXES, "fixed": FIXED}
    return build(Design, {**written, **changes}, "sweep")


def planets(spec: Design, *blocks: int) -> list[Planet]:
    return [one.planet for one in draw(spec, blocks)]


@pytest.mark.parametrize("kind", ["sobol", "lhs"])
def test_the_same_seed_gives_the_same_planets_and_another_seed_others(kind: str) -> None:
    first = planets(design(design=kind))
    assert first == planets(design(design=kind))
    assert first != planets(design(design=kind, seed=4))
    assert len(set(first)) == 16


def test_a_sobol_sequence_keeps_its_beginning_when_it_grows() -> None:
    assert planets(design(n=1200))[:1000] == planets(design(n=1000))


def test_a_latin_hypercube_that_grew_keeps_its_blocks() -> None:
    grown = planets(design(design="lhs", n=24), 16, 8)
    assert grown[:16] == planets(design(design="lhs", n=16))
    fluxes = sorted(planet.stellar_flux_wm2 for planet in grown[16:])
    eighth = 900 / 8
    assert [int((flux - 800) / eighth) for flux in fluxes] == list(range(8))


def test_a_latin_hypercube_has_one_planet_in_each_row_and_column() -> None:
    drawn = planets(design(design="lhs", n=50))
    rows = sorted(int(50 * math.log(p.co2_fraction / 1e-5) / math.log(1e4)) for p in drawn)
    assert rows == list(range(50))


def test_ranges_and_scales_are_respected() -> None:
    drawn = planets(design(n=256))
    assert all(800 <= p.stellar_flux_wm2 <= 1700 and 1e-5 <= p.co2_fraction <= 0.1 for p in drawn)
    below = sum(p.co2_fraction < 1e-3 for p in drawn)
    assert below == 128  # half of a log range, exactly, for a Sobol sequence of 2^8


def test_impossible_corners_are_passed_over_without_moving_the_others() -> None:
    axes = {"co2": {"low": 0.5, "high": 1.0}, "ch4": {"low": 0.0, "high": 0.3}}
    fixed = {**{k: v for k, v in FIXED.items() if k != "ch4"}, "stellar_flux": "1000 W/m2"}
    small, large = (planets(design(axes=axes, fixed=fixed, n=n)) for n in (40, 60))
    assert len(small) == 40
    assert all(p.co2_fraction + p.ch4_fraction <= 1 for p in large)
    assert large[:30] == small[:30]


def test_a_domain_without_possible_planets_says_why() -> None:
    with pytest.raises(
        ConfigError, match=r"none of the first 16 planets is possible; eccentricity: 2"
    ):
        draw(design(fixed={**FIXED, "eccentricity": 2}))


def test_a_grid_is_the_product_of_its_axes() -> None:
    grid = design(
        design="grid",
        n=None,
        axes={
            "rotation_period": {"values": ["1 d", "2 d", "4 d"]},
            "stellar_flux": {"low": "900 W/m2", "high": "1100 W/m2", "n": 3},
        },
        fixed={**{k: v for k, v in FIXED.items() if k != "rotation_period"}, "co2": 0},
    )
    found = [(p.rotation_period_s / 86400, p.stellar_flux_wm2) for p in planets(grid)]
    assert found == [(r, f) for r in (1, 2, 4) for f in (900, 1000, 1100)]


def test_a_log_axis_of_a_grid_is_geometric() -> None:
    grid = design(
        design="grid",
        n=None,
        axes={"co2": {"low": "1 ppm", "high": 1.0, "n": 4, "scale": "log"}},
        fixed={**FIXED, "stellar_flux": "1000 W/m2"},
    )
    assert [p.co2_fraction for p in planets(grid)] == pytest.approx([1e-6, 1e-4, 1e-2, 1.0])


@pytest.mark.parametrize("separator", [",", "\t"])
def test_a_table_has_units_in_its_header_or_its_cells(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "planets.txt"
    rows = [
        ["name", "radius [R_earth]", "stellar_flux", "co2", "tidally_locked"],
        ["TRAPPIST-1 e", "0.92", "879 W/m2", "400 ppm", "true"],
        ["Earth", "1", "1361 W/m2", "0.04 percent", "false"],
    ]
    path.write_text("# two worlds\n" + "\n".join(separator.join(row) for row in rows) + "\n\n")
    fixed = {k: v for k, v in FIXED.items() if k != "radius"}
    table = design(design="table", n=None, axes={}, file=str(path), fixed=fixed)
    drawn = draw(table)
    assert [one.label for one in drawn] == ["TRAPPIST-1 e", "Earth"]
    assert drawn[0].planet.radius_m == pytest.approx(0.92 * 6.3781e6)
    assert drawn[0].planet.tidally_locked
    assert drawn[1].planet.co2_fraction == 0.0004


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no planets"),
        ("radius\n", "has no planets"),
        ("raduis\n1\n", r"no parameter 'raduis'; did you mean 'radius'\?"),
        ("radius,co2\n1 R_earth\n", "planet line 2: 1 cells under 2 columns"),
        ("co2\nmuch\n", "planet line 2: co2: 'much'|co2: 'much'"),
        ("radius [K]\n1\n", "not a mean radius"),
        ("stellar_flux\n1e9 W/m2\n", "planet line 2: stellar_flux: 1e\\+09"),
        ("radius [km],radius [m]\n6000,7\n", "has two columns 'radius'; remove one"),
        ("co2,name,name\n0,a,b\n", "has two columns 'name'"),
        ("obliquity\n1 rad\n", "sweep.fixed.obliquity: .* has a column of that name"),
        (
            "name,radius\na,1.2 R_earth\nb,1 R_earth\nc,7653.72 km\n",
            "planet lines 2 and 4 are the same planet",
        ),
    ],
)
def test_a_damaged_table_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "planets.csv"
    path.write_text(text)
    fixed = {**FIXED, "stellar_flux": "1000 W/m2", "co2": 0, "obliquity": 0}
    if "has a column" not in said:
        fixed = {
            name: value for name, value in fixed.items() if name not in text.partition("\n")[0]
        }
    with pytest.raises(ConfigError, match=said):
        draw(design(design="table", n=None, axes={}, file=str(path), fixed=fixed))


def test_a_binary_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "planets.csv"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(ConfigError, match="cannot be read"):
        draw(design(design="table", n=None, axes={}, file=str(path)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n": None}, "sweep.n: a sobol design needs a number"),
        ({"n": 0}, "sweep.n: a sobol design needs a number"),
        ({"design": "grid"}, "sweep.n: a grid design has as many"),
        ({"axes": {}}, "sweep.axes: nothing varies"),
        ({"file": "x.csv"}, "sweep.file: a sobol design reads no table"),
        ({"name": "a b"}, "sweep.name: 'a b' cannot name a folder"),
        ({"name": "../x"}, "sweep.name: '../x' cannot name a folder"),
        ({"name": "$(id)"}, "sweep.name"),
        (
            {"axes": {**AXES, "radius": {"low": "1 km", "high": "2 km"}}},
            "fixed.radius: it is an axis too",
        ),
        ({"axes": {"co2": {"values": [0, 1]}}}, "axes.co2: a sobol design draws from ranges"),
        ({"axes": {"sparkle": {"low": 0, "high": 1}}}, "axes.sparkle: there is no such parameter"),
        ({"fixed": {"radiuss": 1}}, "sweep.fixed.radiuss: there is no such parameter"),
        ({"design": "table", "n": None, "file": "x.csv"}, "axes.stellar_flux: a table lists"),
        ({"seed": -1}, "sweep.seed: -1 is below 0"),
        ({"n": 10**12}, "sweep.n: this design has more than 1000000 planets"),
        (
            {"design": "grid", "n": None, "axes": {"co2": {"low": 0, "high": 1, "n": 10**9}}},
            "sweep.axes: this design has more than 1000000 planets",
        ),
    ],
)
def test_contradictory_designs_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        design(**changes)


@pytest.mark.parametrize(
    ("axis", "said"),
    [
        ({"low": "2 ppm"}, "axes.co2: a range needs both"),
        ({"low": "2 ppm", "high": "1 ppm"}, r"axes.co2: low \(2 ppm\) must be below high"),
        ({"low": 0, "high": 1, "scale": "log"}, "axes.co2: a log axis cannot begin at 0"),
        ({"low": "1 km", "high": "2 km"}, "co2: '1 km' is not"),
    ],
)
def test_impossible_ranges_are_refused(axis: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        draw(design(axes={"co2": axis}, fixed={**FIXED, "stellar_flux": "1000 W/m2"}))


def test_a_value_that_stands_twice_on_an_axis_is_refused() -> None:
    axes = {"rotation_period": {"values": ["1 d", "2 d", "24 h"]}, **AXES}
    fixed = {name: value for name, value in FIXED.items() if name != "rotation_period"}
    with pytest.raises(ConfigError, match=r"axes.rotation_period: 24 h stands there twice"):
        draw(design(design="grid", n=None, axes=axes, fixed=fixed))
