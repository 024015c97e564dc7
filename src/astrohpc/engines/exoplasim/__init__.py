"""``engine=exoplasim``: ExoPlaSim, an intermediate-complexity general circulation model.

:mod:`.engine` is the engine, :mod:`.settings` what may be set, :mod:`.arguments` a planet in the
model's own words, :mod:`.build` its executable, :mod:`.run` one attempt at a member, :mod:`.child`
the only place that imports ``exoplasim``. ``docs/exoplasim.md`` says what it costs and where its
traps lie.
"""

from astrohpc.engines.exoplasim.engine import Exoplasim
from astrohpc.engines.exoplasim.settings import ExoplasimSettings

__all__ = ["Exoplasim", "ExoplasimSettings"]
