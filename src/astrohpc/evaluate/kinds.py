"""The parts that a surrogate on disk can have, by the words under which it names them.

Modules are imported where a part is made, for most of them bring a library that others do without.
"""

import importlib
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.settings import suggest

# A word, once it stands in files, means this for ever; a class may move.
KINDS: Mapping[str, str] = {
    "mean": "astrohpc.emulate.simple:Mean",
    "ridge": "astrohpc.emulate.ridge:Ridge",  # linear and quadratic
    "pca_gp": "astrohpc.emulate.gp:PcaGp",
    "scalar": "astrohpc.emulate.scalar:Scalar",
    "unet": "astrohpc.evaluate.networks:Ensemble",
    "network": "astrohpc.train.direct:Direct",
}


def kind_of(part: object) -> str:
    """The word for a part."""
    own = f"{type(part).__module__}:{type(part).__name__}"
    for word, place in KINDS.items():
        if place == own:
            return word
    raise ConfigError(f"surrogate: {own} cannot be written down; choose one of {', '.join(KINDS)}.")


def can_be_kept(part: object) -> bool:
    """Whether a part has a word."""
    return f"{type(part).__module__}:{type(part).__name__}" in KINDS.values()


def restored(word: str, said: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Any:
    """A part made again."""
    if word not in KINDS:
        raise ConfigError(
            f"surrogate: it has a part {word!r} that is not known here{suggest(word, KINDS)}"
        )
    module, _, name = KINDS[word].partition(":")
    try:
        kind = getattr(importlib.import_module(f"{module}"), name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"surrogate: {word} needs {error.name}, which is not installed; install astrohpc's extra train."
        ) from error
    return kind.restored(said, arrays)
