"""Every method by its name, and the settings of each that are tried."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from astrohpc.emulate.base import Emulator
from astrohpc.emulate.gp import PcaGp
from astrohpc.emulate.ridge import PcaRidge, Ridge
from astrohpc.emulate.simple import Mean, Neighbours
from astrohpc.errors import ConfigError

Arrays = Mapping[str, NDArray[np.generic]]


def _quadratic(**settings: Any) -> Emulator:
    return Ridge(degree=2, **settings)


def _pca_trees(**settings: Any) -> Emulator:
    # scikit-learn is heavy, and only of the extra `train`.
    from astrohpc.emulate.trees import PcaTrees  # noqa: PLC0415

    return PcaTrees(**settings)


def _pca_mlp(**settings: Any) -> Emulator:
    from astrohpc.emulate.network import PcaMlp  # noqa: PLC0415

    return PcaMlp(**settings)


class Keepable(Emulator, Protocol):
    """A method that can be written down and read again without learning anew."""

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
        """Settings that JSON can hold, and arrays."""


METHODS: Mapping[str, Callable[..., Emulator]] = {
    "mean": Mean,
    "neighbours": Neighbours,
    "ridge": Ridge,
    "quadratic": _quadratic,
    "pca_ridge": PcaRidge,
    "pca_gp": PcaGp,
    "pca_trees": _pca_trees,
    "pca_mlp": _pca_mlp,
}

_KEPT: Mapping[str, Callable[[Mapping[str, Any], Arrays], Keepable]] = {
    "mean": Mean.restored,
    "ridge": Ridge.restored,
    "quadratic": Ridge.restored,
    "pca_gp": PcaGp.restored,
}

_PENALTIES = (0.01, 0.001, 0.003, 0.03, 0.1, 0.3, 1.0, 3.0)
_SHARES = (0.99, 0.95, 0.999)

# The first of each is what the method does untuned.
CHOICES: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "mean": {},
    "neighbours": {"count": (3, 1, 2, 4, 5, 7), "power": (1.0, 0.0, 2.0)},
    "ridge": {"penalty": _PENALTIES},
    "quadratic": {"penalty": _PENALTIES},
    "pca_ridge": {"degree": (2, 1), "share": (*_SHARES, 0.9)},
    "pca_gp": {"kernel": ("matern", "gauss"), "share": (*_SHARES, 0.9999)},
    "pca_trees": {
        "share": (0.99, 0.95),
        "rounds": (150, 50, 400),
        "rate": (0.1, 0.05, 0.2),
        "depth": (3, 2, 1, 4),
    },
    "pca_mlp": {
        "share": _SHARES,
        "width": (32, 16, 64, 128),
        "depth": (1, 2),
        "decay": (0.1, 0.001, 0.01, 1.0),
    },
}


def restored(name: str, settings: Mapping[str, Any], arrays: Arrays) -> Keepable:
    """A method from its ``state``; the same predictions."""
    if name not in _KEPT:
        raise ConfigError(f"method: {name!r} cannot be kept; use {', '.join(_KEPT)}.")
    return _KEPT[name](settings, arrays)
