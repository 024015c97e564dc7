"""The place where members of the stand-in live."""

from pathlib import Path

import pytest
from support_standin import House


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.delenv("ASTROHPC_STANDIN", raising=False)
    return House(tmp_path, monkeypatch)
