"""Zonal sums of fields on a GPU: with a GPU in name only, and with one. Fields are synthetic."""

from pathlib import Path

import numpy as np
import pytest
from support_cuda import Seen, zonal_in_name_only

from astrohpc.errors import ConfigError
from astrohpc.kernels import tensors
from astrohpc.kernels.build import NoKernel
from astrohpc.physics import sums
from astrohpc.physics.latlon import LatLon
from astrohpc.physics.layout import Block, Layout
from astrohpc.physics.vertical import sigma_layers

LAYOUT = Layout(
    (Block.canonical("ta", 3), Block.canonical("ps", 0)),
    LatLon.gaussian(8, 16),
    sigma_layers(np.linspace(0.0, 1.0, 4)),
)


def fields() -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    ta = random.normal(250.0, 20.0, (2, 3, 8, 16)).astype(np.float32)
    return {"ta": ta, "ps": random.normal(1e5, 2e3, (2, 8, 16)).astype(np.float32)}


@pytest.fixture
def in_name_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zonal_in_name_only(tmp_path, monkeypatch)


@pytest.mark.usefixtures("in_name_only")
def test_sums_on_a_gpu_are_those_of_the_processor() -> None:
    given = fields()
    wanted = sums.zonal_sums(given, LAYOUT)
    found = sums.zonal_sums({name: each.view(Seen) for name, each in given.items()}, LAYOUT)
    for name in ("x", "xp", "xx", "xxp", "low", "high", "bad"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))


@pytest.mark.usefixtures("in_name_only")
def test_what_is_wrong_with_fields_on_a_gpu_is_said_by_name_and_place() -> None:
    given = {name: each.view(Seen) for name, each in fields().items()}
    given["ta"][1, 2, 3, 4] = np.nan
    with pytest.raises(
        ConfigError, match=r"ta: is nan at sample 1, level 2, latitude 3, longitude 4"
    ):
        sums.zonal_sums(given, LAYOUT)
    with pytest.raises(ConfigError, match="ps: the layout has it, the fields have not"):
        sums.zonal_sums({"ta": given["ta"]}, LAYOUT)
    with pytest.raises(ConfigError, match="ps: ndarray is not on a GPU"):
        sums.zonal_sums({**given, "ps": np.array(given["ps"])}, LAYOUT)
    with pytest.raises(ConfigError, match=r"ta: shapes .* do not belong together"):
        sums.zonal_sums({**given, "ta": given["ta"][:, :2]}, LAYOUT)
    with pytest.raises(ConfigError, match=r"ta: .* not lie closely .* contiguous"):
        sums.zonal_sums({**given, "ta": given["ta"][..., ::-1]}, LAYOUT)


def test_without_a_gpu_it_is_said_what_is_missing() -> None:
    cupy = pytest.importorskip("cupy")
    if cupy.cuda.is_available():
        pytest.skip("there is a GPU here")
    tensors.cupy.cache_clear()
    with pytest.raises(NoKernel, match="sees no GPU here"):
        sums.zonal_sums({name: each.view(Seen) for name, each in fields().items()}, LAYOUT)


@pytest.mark.gpu
def test_sums_really_on_a_gpu_are_those_of_the_processor(gpu_torch) -> None:
    given = fields()
    wanted = sums.zonal_sums(given, LAYOUT)
    found = sums.zonal_sums(
        {name: gpu_torch.from_numpy(each).cuda() for name, each in given.items()}, LAYOUT
    )
    for name in ("x", "xp", "xx", "xxp", "low", "high", "bad"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
