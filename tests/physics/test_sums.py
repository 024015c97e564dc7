import numpy as np
import pytest
import torch

from astrohpc.errors import ConfigError
from astrohpc.physics.latlon import target_grid
from astrohpc.physics.layout import Layout
from astrohpc.physics.sums import ZonalSums, zonal_sums, zonal_sums_torch
from astrohpc.physics.vertical import sigma_layers

GRID = target_grid("latlon 6x20")
LAYERS = sigma_layers([0.0, 0.3, 1.0])
PARTS = ("x", "xp", "xx", "xxp", "low", "high", "bad")


def some_fields(samples: int = 3, kind: str = "f4") -> dict[str, np.ndarray]:
    draw = np.random.default_rng(samples)
    return {
        "ta": draw.normal(250.0, 20.0, (samples, 2, 6, 20)).astype(kind),
        "ps": draw.normal(1e5, 1e3, (samples, 6, 20)).astype(kind),
    }


def layout_of(fields: dict) -> Layout:
    return Layout.of_fields(fields, GRID, LAYERS)


def same(one: ZonalSums, other: ZonalSums) -> bool:
    return all(np.array_equal(getattr(one, part), getattr(other, part)) for part in PARTS)


def test_sums_are_those_of_the_definition() -> None:
    fields = some_fields()
    sums = zonal_sums(fields, layout_of(fields))
    ta, ps = fields["ta"].astype("f8"), fields["ps"].astype("f8")
    assert sums.samples == 3
    assert sums.x[:, :2] == pytest.approx(ta.sum(-1), rel=1e-14)
    assert sums.xp[:, :2] == pytest.approx((ta * ps[:, None]).sum(-1), rel=1e-14)
    assert sums.xx[:, 2] == pytest.approx((ps**2).sum(-1), rel=1e-14)
    assert sums.xxp[:, 2] == pytest.approx((ps**3).sum(-1), rel=1e-14)
    assert (sums.low[:, :2] == ta.min(-1)).all()
    assert (sums.high[:, 2] == ps.max(-1)).all()


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_any_number_of_threads_gives_the_same_bits(kind: str) -> None:
    fields = some_fields(7, kind)
    layout = layout_of(fields)
    one = zonal_sums(fields, layout, threads=1)
    assert all(same(one, zonal_sums(fields, layout, threads=n)) for n in (2, 3, 8, 50))


def test_views_of_a_stack_are_read_where_they_lie() -> None:
    fields = some_fields()
    layout = layout_of(fields)
    stack = layout.stack(fields)
    parts = layout.split(stack)
    assert not parts["ta"].flags.c_contiguous
    assert same(zonal_sums(fields, layout), zonal_sums(parts, layout))
    assert same(zonal_sums(fields, layout), zonal_sums(layout.split(torch.tensor(stack)), layout))


def test_without_surface_pressure_its_sums_are_not_a_number() -> None:
    fields = {"ts": some_fields()["ps"]}
    sums = zonal_sums(fields, Layout.of_fields(fields, GRID))
    assert np.isnan(sums.xp).all()
    assert np.isnan(sums.xxp).all()
    assert sums.x[:, 0] == pytest.approx(fields["ts"].sum(-1, dtype="f8"))
    assert (sums.bad == -1).all()


def test_arrays_in_another_order_of_axes_give_the_same_sums() -> None:
    fields = some_fields()
    turned = {name: np.asfortranarray(values) for name, values in fields.items()}
    backwards = {name: values[::-1] for name, values in fields.items()}
    layout = layout_of(fields)
    assert same(zonal_sums(fields, layout), zonal_sums(turned, layout))
    assert (zonal_sums(backwards, layout).x == zonal_sums(fields, layout).x[::-1]).all()


def test_a_sample_that_is_repeated_without_memory_is_summed_each_time() -> None:
    fields = some_fields(1)
    repeated = {k: np.broadcast_to(v, (4, *v.shape[1:])) for k, v in fields.items()}
    layout = layout_of(fields)
    assert (zonal_sums(repeated, layout).x == zonal_sums(fields, layout).x).all()


def test_bfloat16_is_summed_as_the_numbers_it_holds() -> None:
    fields = {k: torch.tensor(v).bfloat16() for k, v in some_fields().items()}
    layout = layout_of(fields)
    wide = {k: v.float() for k, v in fields.items()}
    assert same(zonal_sums(fields, layout), zonal_sums(wide, layout))


def test_torch_operations_agree_with_the_kernel() -> None:
    fields = {k: torch.tensor(v) for k, v in some_fields(kind="f8").items()}
    layout = layout_of(fields)
    ours, theirs = zonal_sums(fields, layout), zonal_sums_torch(fields, layout)
    for part in PARTS:
        assert getattr(theirs, part).numpy() == pytest.approx(getattr(ours, part), rel=1e-12)


def test_sums_in_torch_have_the_gradient_of_the_definition() -> None:
    fields = {k: torch.tensor(v).requires_grad_() for k, v in some_fields(1, "f8").items()}
    sums = zonal_sums_torch(fields, layout_of(fields))
    sums.xxp[:, :2].sum().backward()
    ta, ps = fields["ta"], fields["ps"]
    assert torch.allclose(ta.grad, (2 * ta * ps[:, None]).detach())
    assert torch.allclose(ps.grad, (ta**2).sum(1).detach())


def test_batches_that_were_read_one_after_the_other_are_joined() -> None:
    fields = some_fields(5)
    layout = layout_of(fields)
    parts = [
        zonal_sums({k: v[a:b] for k, v in fields.items()}, layout) for a, b in ((0, 2), (2, 5))
    ]
    assert same(ZonalSums.joined(parts), zonal_sums(fields, layout))


# ----------------------------------------------------------------------------- bad input
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named_with_its_place(value: float) -> None:
    fields = some_fields()
    fields["ta"][1, 0, 4, 17] = value
    place = r"^ta: is (nan|inf) at sample 1, level 0, latitude 4, longitude 17"
    with pytest.raises(ConfigError, match=place):
        zonal_sums(fields, layout_of(fields))
    fields = some_fields()
    fields["ps"][2, 0, 3] = value
    with pytest.raises(ConfigError, match=r"^ps: is .* at sample 2, latitude 0, longitude 3"):
        zonal_sums(fields, layout_of(fields))


def test_missing_values_are_skipped_only_where_asked_and_marked() -> None:
    fields = some_fields()
    fields["ta"][1, 0, 4, [3, 9]] = np.nan
    layout = layout_of(fields)
    sums = zonal_sums(fields, layout, missing="skip")
    assert sums.bad[1, 0, 4] == 3
    assert (sums.bad >= 0).sum() == 1
    assert sums.x[1, 0, 4] == pytest.approx(np.nansum(fields["ta"][1, 0, 4], dtype="f8"))
    fields["ta"][1, 0, 4, 11] = np.inf
    with pytest.raises(ConfigError, match="is inf at sample 1, level 0, latitude 4, longitude 11"):
        zonal_sums(fields, layout, missing="skip")
    with pytest.raises(ConfigError, match=r"^missing: 'zero'"):
        zonal_sums(fields, layout, missing="zero")  # type: ignore[arg-type]


def test_what_cannot_be_summed_is_refused_with_a_sentence() -> None:
    fields = some_fields()
    layout = layout_of(fields)
    with pytest.raises(ConfigError, match=r"^ps: the layout has it"):
        zonal_sums({"ta": fields["ta"]}, layout)
    with pytest.raises(ConfigError, match=r"^ta: has shape \(3, 2, 6, 19\)"):
        zonal_sums({**fields, "ta": fields["ta"][..., 1:]}, layout)
    with pytest.raises(ConfigError, match=r"^ta: holds int32"):
        zonal_sums({**fields, "ta": fields["ta"].astype("i4")}, layout)
    with pytest.raises(ConfigError, match=r"^ta: holds >f4"):
        zonal_sums({**fields, "ta": fields["ta"].astype(">f4")}, layout)
    with pytest.raises(ConfigError, match=r"^ta: is a list"):
        zonal_sums({**fields, "ta": [[1.0]]}, layout)
    with pytest.raises(ConfigError, match="at least one"):
        zonal_sums({k: v[:0] for k, v in fields.items()}, layout)
    with pytest.raises(ConfigError, match="the same number"):
        zonal_sums({**fields, "ps": fields["ps"][:2]}, layout)
    with pytest.raises(ConfigError, match=r"^ta: lies on meta"):
        zonal_sums({**fields, "ta": torch.empty((3, 2, 6, 20), device="meta")}, layout)


def test_more_values_than_one_call_sums_are_refused() -> None:
    fields = some_fields(1)
    many = {k: np.broadcast_to(v, (10_000_000, *v.shape[1:])) for k, v in fields.items()}
    with pytest.raises(ConfigError, match="fewer samples at a time"):
        zonal_sums(many, layout_of(fields))
