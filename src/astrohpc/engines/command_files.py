"""What a program of the user's own leaves in its folder, read with patience for what is half written."""

import json
import math
from pathlib import Path
from typing import Any

from astrohpc.errors import ConfigError

PROGRESS, SUMMARY, REASON = "progress.csv", "summary.json", "reason.txt"
_COLUMNS = ["model_years", "surface_temperature_k", "toa_balance_wm2"]
_MOST_YEARS, _LARGEST = 1e15, 1e300


def read_rows(where: Path) -> list[list[float]]:
    """Rows of ``progress.csv`` that are complete; a line that is being written is not one yet."""
    try:
        text = (where / PROGRESS).read_text()
    except (FileNotFoundError, UnicodeDecodeError):
        return []
    head, *lines = text.split("\n")[:-1] or [""]
    if head.strip().split(",")[:3] != _COLUMNS:
        return []
    rows = []
    for line in lines:
        try:
            row = [float(word) for word in line.split(",")[:3]]
        except ValueError:
            continue
        if len(row) == len(_COLUMNS) and abs(row[0]) < _MOST_YEARS:
            rows.append([value if math.isfinite(value) else math.nan for value in row])
    return rows


def last_year(rows: list[list[float]]) -> float:
    """How far the last row is."""
    return rows[-1][0] if rows else 0.0


def read_reason(where: Path) -> str:
    """The sentence that the program left, or an empty text."""
    try:
        text = (where / REASON).read_text(errors="replace")
    except FileNotFoundError:
        return ""
    return " ".join(text.split())[:300]


def read_summary(where: Path) -> dict[str, float | str]:
    """The last reported state and what ``summary.json`` adds; ConfigError where that is no such file."""
    rows = read_rows(where)
    numbers: dict[str, float | str] = {}
    if rows:
        years, temperature, balance = rows[-1]
        numbers = {
            "surface_temperature_k": temperature,
            "toa_balance_wm2": balance,
            "model_years": years,
        }
    if (where / SUMMARY).exists():
        for name, value in read_object(where / SUMMARY).items():
            if isinstance(value, float | int) and abs(value) > _LARGEST:
                raise ConfigError(f"{SUMMARY}: {name} is too large for a number")
            if isinstance(value, float | int | str):
                numbers[name] = value
    return numbers


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object that a file of the program holds."""
    try:
        content = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        why = str(error).partition(":")[0]
        raise ConfigError(f"{path.name} cannot be read as JSON ({why})") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path.name} is no JSON object of names and values")
    return content
