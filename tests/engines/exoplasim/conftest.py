"""The executable once, and one member run without a break that others are held against."""

from pathlib import Path

import pytest
from support_exoplasim import run, settings

from astrohpc.engines.exoplasim import Exoplasim


@pytest.fixture(scope="session")
def built() -> Exoplasim:
    """Half a minute of compiling where nobody has done it before."""
    engine = Exoplasim(settings())
    engine.prepare()
    return engine


@pytest.fixture(scope="session")
def whole(built: Exoplasim, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty days in two legs. Its folder has a blank in its name, which the package cannot bear."""
    folder = tmp_path_factory.mktemp("a whole member")
    _, verdict, _ = run(folder, run_days=20.0)
    assert verdict.reason == "20 days run, as asked"
    return folder
