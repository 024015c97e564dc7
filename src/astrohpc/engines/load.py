"""From the ``engine`` group of a configuration to the engine."""

from collections.abc import Mapping
from typing import Any

from astrohpc.engines.base import Engine
from astrohpc.errors import ConfigError
from astrohpc.settings import build, suggest

ENGINES = ("command", "ebm", "exoplasim", "rocke3d")


def load_engine(written: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Engine:
    """Build the engine that ``written`` names; ``overrides`` are a member's own settings."""
    settings = {**written, **(overrides or {})}
    name = settings.pop("name", None)
    if name == "ebm":
        from astrohpc.engines.ebm import Ebm, EbmSettings  # noqa: PLC0415 - pulls in numba

        return Ebm(build(EbmSettings, settings, "engine"))
    if name == "command":
        from astrohpc.engines.command import Command, CommandSettings  # noqa: PLC0415

        return Command(build(CommandSettings, settings, "engine"))
    if name == "exoplasim":
        from astrohpc.engines.exoplasim import Exoplasim, ExoplasimSettings  # noqa: PLC0415

        return Exoplasim(build(ExoplasimSettings, settings, "engine"))
    if name == "rocke3d":
        from astrohpc.engines.rocke3d.engine import Rocke3d  # noqa: PLC0415 - reads decks
        from astrohpc.engines.rocke3d.settings import Rocke3dSettings  # noqa: PLC0415

        return Rocke3d(build(Rocke3dSettings, settings, "engine"))
    raise ConfigError(f"engine.name: there is no engine {name!r}{suggest(str(name), ENGINES)}")
