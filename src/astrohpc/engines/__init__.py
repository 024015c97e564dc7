"""Climate models behind one small protocol: :mod:`astrohpc.engines.base` states it."""
