import numpy as np
import pytest
import torch

from astrohpc.engines.variables import VARIABLES
from astrohpc.errors import ConfigError
from astrohpc.physics.latlon import LatLon, target_grid
from astrohpc.physics.layout import POSITIVE, Block, Layout
from astrohpc.physics.vertical import LayerEdges, pressure_layers, sigma_layers

GRID = target_grid("latlon 4x8")
BLOCKS = (Block.canonical("ta", 3), Block.canonical("ps", 0), Block.canonical("ua", 3))
LAYOUT = Layout(BLOCKS, GRID, sigma_layers([0.0, 0.2, 0.6, 1.0]))


def test_channels_are_the_levels_of_one_variable_after_the_other() -> None:
    assert LAYOUT.channels == 7
    assert [LAYOUT.slice(name) for name in ("ta", "ps", "ua")] == [
        slice(0, 3),
        slice(3, 4),
        slice(4, 7),
    ]


@pytest.mark.parametrize("lead", [(2,), (2, 3)])
def test_splitting_a_stack_gives_views_that_stack_again(lead: tuple[int, ...]) -> None:
    stack = torch.arange(float(np.prod((*lead, 7, 4, 8)))).reshape(*lead, 7, 4, 8)
    parts = LAYOUT.split(stack)
    assert {name: tuple(part.shape) for name, part in parts.items()} == {
        "ta": (*lead, 3, 4, 8),
        "ps": (*lead, 4, 8),
        "ua": (*lead, 3, 4, 8),
    }
    assert torch.equal(LAYOUT.stack(parts), stack)
    assert (LAYOUT.stack({k: v.numpy() for k, v in parts.items()}) == stack.numpy()).all()
    parts["ps"].zero_()
    assert (stack[..., 3, :, :] == 0).all()


def test_canonical_names_have_roles_and_signs() -> None:
    roles = {name: Block.canonical(name, 0).role for name in ("ps", "ua", "uas", "va", "ta")}
    assert roles == {
        "ps": "pressure",
        "ua": "eastward",
        "uas": "eastward",
        "va": "northward",
        "ta": "scalar",
    }
    assert Block.canonical("hus", 3).positive
    assert not Block.canonical("va", 3).positive
    assert set(VARIABLES) >= POSITIVE


def test_shares_of_cells_add_up_to_one() -> None:
    for name in ("T21", "latlon 46x72"):
        layout = Layout((Block("x", 0),), target_grid(name))
        rows, columns = layout.grid.shape
        assert layout.share.shape == (rows,)
        assert layout.share.sum() * columns == pytest.approx(1.0, abs=1e-15)


def test_layers_are_as_thick_as_their_edges_say() -> None:
    hybrid = LayerEdges(np.array([100.0, 5000.0, 2000.0, 0.0]), np.array([0.0, 0.1, 0.5, 1.0]))
    layout = Layout(BLOCKS, GRID, hybrid)
    assert layout.da_pa + layout.db * 1e5 == pytest.approx([14900.0, 37000.0, 48000.0])


def test_shapes_of_fields_make_a_layout() -> None:
    fields = {"ta": np.zeros((2, 3, 4, 8)), "ps": np.zeros((2, 4, 8))}
    layout = Layout.of_fields(fields, GRID, sigma_layers([0.0, 0.2, 0.6, 1.0]))
    assert [(block.name, block.levels) for block in layout] == [("ta", 3), ("ps", 0)]
    with pytest.raises(ConfigError, match=r"^ts: has 2 axes"):
        Layout.of_fields({"ts": np.zeros((4, 8))}, GRID)


@pytest.mark.parametrize(
    "layers", [sigma_layers([1.0, 0.6, 0.2, 0.0]), pressure_layers([1e5, 5e4, 1e4, 0.0])]
)
def test_layers_from_the_ground_up_are_refused(layers: LayerEdges) -> None:
    with pytest.raises(ConfigError, match="from the ground up"):
        Layout(BLOCKS, GRID, layers)


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^ta: has 3 levels where the layout has no layers"):
        Layout(BLOCKS, GRID)
    with pytest.raises(ConfigError, match=r"^ta: has 3 levels where the layout has 2 layers"):
        Layout(BLOCKS, GRID, sigma_layers([0.0, 0.5, 1.0]))
    with pytest.raises(ConfigError, match="come twice"):
        Layout((Block("a", 0), Block("a", 0)), GRID)
    with pytest.raises(ConfigError, match=r"^a: 'windy' is no role"):
        Block("a", 0, "windy")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^ps: surface pressure has no levels"):
        Block.canonical("ps", 3)
    with pytest.raises(ConfigError, match=r"^stack: has shape"):
        LAYOUT.split(np.zeros((2, 6, 4, 8)))
    with pytest.raises(ConfigError, match=r"^ps: is missing"):
        LAYOUT.stack({"ta": np.zeros((3, 4, 8))})
    with pytest.raises(ConfigError, match=r"^zg: is not in the layout"):
        LAYOUT.slice("zg")
    with pytest.raises(ConfigError, match=r"^layout: has no layers"):
        _ = Layout((Block("a", 0),), GRID).da_pa


@pytest.mark.parametrize(
    "grid",
    [
        LatLon.from_edges([-60.0, 0.0, 60.0], np.linspace(0.0, 360.0, 9)),
        LatLon.from_edges([-90.0, 0.0, 90.0], np.linspace(0.0, 180.0, 9)),
        LatLon.from_edges([-90.0, 0.0, 90.0], [0.0, 90.0, 270.0, 360.0]),
    ],
)
def test_a_grid_that_is_not_the_whole_sphere_in_even_columns_is_refused(grid: LatLon) -> None:
    with pytest.raises(ConfigError, match="does not cover the sphere"):
        Layout((Block("x", 0),), grid)
