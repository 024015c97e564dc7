"""What cannot be augmented is one sentence that says where, and what to do."""

from typing import Any

import numpy as np
import pytest

from astrohpc.augment.spectra import augment
from astrohpc.augment.spectra_policy import Draws, SpectraPolicy
from astrohpc.errors import ConfigError
from astrohpc.physics.wavelengths import Wavelengths

LOG = Wavelengths.from_centres(np.geomspace(0.5, 5.0, 2000))
NOTHING = {"shift": 0.0, "resolution": (), "snr": (), "response": 0.0, "gaps": 0}
LEFT = SpectraPolicy(**NOTHING)


def one(**changes: Any) -> Any:
    flux = np.ones((2, LOG.count), np.float32)
    return augment(**{"flux": flux, "wavelengths": LOG, "policy": LEFT, "seed": 1, **changes})


def with_value(value: float, sample: int, index: int) -> np.ndarray:
    flux = np.ones((3, LOG.count), np.float32)
    flux[sample, index] = value
    flux[sample, index + 5] = value
    return flux


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a NaN": ({"flux": with_value(np.nan, 1, 17)}, "sample 1 has no finite number at index 17;"),
    "an infinity": (
        {"flux": with_value(np.inf, 2, 0)},
        "sample 2 has no finite number at index 0;",
    ),
    "no spectra": ({"flux": np.ones((0, LOG.count), np.float32)}, "holds no spectrum"),
    "one axis": ({"flux": np.ones(LOG.count, np.float32)}, "is not [spectra, bins]"),
    "other bins": ({"flux": np.ones((2, 5), np.float32)}, "5 bins do not go with 2000 wavelengths"),
    "double precision": ({"flux": np.ones((2, LOG.count))}, "holds float64; give float32"),
    "a step between bins": (
        {"flux": np.ones((2, 2 * LOG.count), np.float32)[:, ::2]},
        "do not follow one another in memory",
    ),
    "an output of another shape": ({"out": np.ones((3, LOG.count), np.float32)}, "out: it must be"),
    "a list": ({"flux": [[1.0]]}, "flux: is a list; give an array"),
    "an output for reading": (
        {"out": np.broadcast_to(np.ones(LOG.count, np.float32), (2, LOG.count))},
        "marked as read only",
    ),
    "one number for two samples": ({"samples": np.array([1])}, "is not one number for each of 2"),
    "noise without end": ({"draws": lambda: Draws.of(2, snr=[10, 0])}, "snr: 0 of sample 1 is not"),
    "noise below zero": ({"draws": lambda: Draws.of(2, snr=-3)}, "snr: -3 of sample 0 is not"),
    "noise of one only": ({"draws": lambda: Draws.of(2, snr=[10, np.nan])}, "sample 1 has none"),
    "a shift too far": ({"draws": lambda: Draws.of(2, shift=0.2)}, "shift: 0.2 of sample 0 is"),
    "draws of others": ({"draws": lambda: Draws.of(3)}, "3 do not go with 2 spectra"),
    "a gap outside": ({"draws": lambda: Draws.of(2, gaps=[[[5, 2001]]])}, "leaves the 2000 bins"),
    "a resolution for ever": ({"draws": lambda: Draws.of(2, resolution=0.1)}, "rebin the spectrum"),
    "photons below zero": (
        {"flux": -np.ones((2, LOG.count), np.float32), "draws": lambda: Draws.of(2, snr=10)},
        "so photons make no noise",
    ),
    "a response of nothing": (
        {
            "flux": np.tile(np.array([1, -1], np.float32), (2, LOG.count // 2)),
            "policy": SpectraPolicy(**{**NOTHING, "response": 0.02}),
        },
        "no factor restores its total",
    ),
    "sigma of another shape": ({"sigma": np.ones((1, 3), np.float32)}, "sigma: it must be"),
    "sigma below zero": ({"sigma": -np.ones((2, LOG.count), np.float32)}, "sigma: it has values"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_with_its_place_and_a_remedy(name: str) -> None:
    changes, said = BAD[name]
    with pytest.raises(ConfigError) as error:
        one(**{key: value() if callable(value) else value for key, value in changes.items()})
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shift": 0.2}, "shift: 0.2 is not within 0..0.1"),
        ({"snr": (0.0, 10.0)}, "snr: [0.0, 10.0] is no range"),
        ({"snr": (100.0, 10.0)}, "snr: [100.0, 10.0] is no range"),
        ({"resolution": (5.0,)}, "resolution: [5.0] is no range"),
        ({"native_resolution": 100.0}, "native_resolution: 100.0 is not above"),
        ({"response": 0.5}, "response: 0.5 is not within"),
        ({"knots": 3}, "knots: 3 is not within"),
        ({"gaps": -1}, "gaps: -1 is not within"),
        ({"gap_share": (0.1, 1.0)}, "gap_share: [0.1, 1.0] are not shares"),
    ],
)
def test_a_policy_out_of_its_limits_names_the_field(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        SpectraPolicy(**changes)
    assert said in str(error.value)


def test_a_tensor_of_another_place_or_kind_is_refused() -> None:
    torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")
    for flux, said in (
        (torch.ones(2, LOG.count, device="meta"), "lies on meta.* bring it to the CPU"),
        (torch.ones(2, LOG.count, dtype=torch.float16), "give float32 or bfloat16"),
        (torch.ones(LOG.count, 2).T, "do not follow one another"),
        (torch.ones(2, LOG.count, requires_grad=True), "gradients do not pass"),
    ):
        with pytest.raises(ConfigError, match=said):
            one(flux=flux)
