"""``predict``: the climates of planets by a surrogate, into one NetCDF file."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrohpc.errors import ConfigError
from astrohpc.files import readable_failures
from astrohpc.launch.output import count, note, say, table
from astrohpc.planet import PARAMETERS, to_si

if TYPE_CHECKING:
    from astrohpc.evaluate.surrogate import Answer, Asked, Surrogate

FLAGGED = 3
_SHOWN = 20  # planets and variables of the table
_TABLES = (".csv", ".tsv", ".txt")
_DEPTH = 4  # folders below ``runs`` in which a surrogate may lie


def run(arguments: argparse.Namespace) -> int:
    """Do what the command line says."""
    words = arguments.words
    if not 1 <= len(words) <= 2:
        raise ConfigError(
            "predict: name a file of planets, and a surrogate if not the newest one; for example "
            "'launch predict planet.yaml'."
        )
    path = Path(words[0]).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"{path}: there is no such file; name a YAML file of a planet, or a table of planets."
        )
    with readable_failures("predict"):
        return _predict(path, words[1] if len(words) > 1 else None, arguments)


def _predict(path: Path, named: str | None, arguments: argparse.Namespace) -> int:
    from astrohpc.evaluate import bundle  # noqa: PLC0415 - numpy
    from astrohpc.evaluate.answers import write_answer  # noqa: PLC0415

    folder = find_surrogate(named, arguments.runs)
    surrogate = bundle.read(folder)
    asked = _asked(path, surrogate)
    answer = surrogate.answer(asked)
    target = arguments.output or path.with_name(f"{path.stem}.predicted.nc")
    provenance = {
        "surrogate": str(folder),
        "planets": str(path),
        **bundle.words_of(folder)["provenance"],
    }
    write_answer(target, surrogate, asked, answer, provenance)
    return _tell(surrogate, folder, asked, answer, target)


def find_surrogate(named: str | None, runs: Path) -> Path:
    """The surrogate that a person means: a folder, one within it, or the newest there is."""
    from astrohpc.evaluate import bundle  # noqa: PLC0415

    if named is None:
        roots = [runs]
    else:
        roots = [one for one in (Path(named).expanduser(), runs / named) if one.is_dir()]
        if not roots:
            raise ConfigError(
                f"{named}: there is no such folder; name a surrogate that 'launch evaluate' made."
            )
    for root in roots:
        if bundle.is_surrogate(root):
            return root.absolute()
        below = [
            path
            for depth in range(1, _DEPTH + 1)
            for path in root.glob("*/" * (depth - 1) + f"surrogate/{bundle.FILE}")
        ]
        if below:
            return max(below, key=lambda path: path.stat().st_mtime).parent.absolute()
    raise ConfigError(
        f"{roots[0]}: there is no surrogate in it; 'launch evaluate' makes one from a store."
    )


# ----------------------------------------------------------------------------- what is asked
def _asked(path: Path, surrogate: "Surrogate") -> "Asked":
    from astrohpc.evaluate.surrogate import planets_asked  # noqa: PLC0415

    if surrogate.common is None:
        return _asked_of_inputs(path, surrogate)
    if path.suffix.lower() in _TABLES:
        from astrohpc.sweep.design import table_rows  # noqa: PLC0415

        _, rows = table_rows(path)
    else:
        rows = _written(path)
    named = [(label or f"planet {i + 1}", values) for i, (label, values) in enumerate(rows)]
    return planets_asked(named, surrogate.inputs, surrogate.common)


def _asked_of_inputs(path: Path, surrogate: "Surrogate") -> "Asked":
    """Planets of which a surrogate knows its inputs alone, as one that was trained on a table does."""
    from astrohpc.climates.columns import is_table  # noqa: PLC0415 - numpy
    from astrohpc.evaluate.scalars import asked_in_file, asked_in_words  # noqa: PLC0415

    if is_table(path):
        asked, said = asked_in_file(path, surrogate)
        for text in said:
            note(text)
        return asked
    rows = _written(path)
    return asked_in_words(
        [(label or f"planet {i + 1}", values) for i, (label, values) in enumerate(rows)], surrogate
    )


def _written(path: Path) -> list[tuple[str, dict[str, object]]]:
    """The planets of a YAML file: one, or a list of them under ``planets``, each with a name if it likes."""
    import yaml  # noqa: PLC0415

    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"{path}: it cannot be read ({' '.join(str(error).split())}); write lines as 'co2: 400 ppm'."
        ) from error
    if isinstance(said, Mapping) and set(said) == {"planets"}:
        said = said["planets"]
    elif isinstance(said, Mapping) and set(said) == {"planet"}:
        said = said["planet"]
    planets = said if isinstance(said, list) else [said]
    if not planets or not all(isinstance(one, Mapping) for one in planets):
        raise ConfigError(
            f"{path}: it has no planet; write lines as 'stellar_flux: 900 W/m2', or a list of such."
        )
    found = []
    for i, one in enumerate(planets):
        label = str(one.get("name", path.stem if len(planets) == 1 else ""))
        try:
            found.append((label, {str(k): _si(str(k), v) for k, v in one.items() if k != "name"}))
        except ConfigError as error:
            raise ConfigError(f"{path}: {label or f'planet {i + 1}'}: {error}") from error
    return found


def _si(name: str, value: object) -> object:
    return to_si(name, value) if name in PARAMETERS and value is not None else value


# ----------------------------------------------------------------------------- what is said
def _tell(
    surrogate: "Surrogate", folder: Path, asked: "Asked", answer: "Answer", target: Path
) -> int:
    from astrohpc.evaluate.answers import of  # noqa: PLC0415

    shown = surrogate.variables[:_SHOWN]
    means: dict[str, Any] = {}
    end = 0
    for one in surrogate.variables:
        begin, end = end, end + one.size
        weights = surrogate.weights[begin:end]
        rows = of(surrogate, one.name, answer.mean).reshape(len(asked.names), -1)
        means[one.name] = rows @ weights
    table(
        ("planet", *(one.label for one in shown), "outside"),
        [
            (
                name,
                *(f"{means[one.name][i]:.5g}" for one in shown),
                "yes" if answer.outside[i] else "no",
            )
            for i, name in enumerate(asked.names[:_SHOWN])
        ],
        title=f"means over the planet, by {surrogate.name}"
        + (f" ({surrogate.mark} data)" if surrogate.mark else ""),
    )
    if len(asked.names) > _SHOWN:
        say(f"… and {len(asked.names) - _SHOWN} more planets, in the file")
    note(f"surrogate: {folder}")
    if not answer.known:
        say("this surrogate does not say how sure it is; the file has no intervals")
    say(f"wrote {target}: {count(len(asked.names), 'planet')}")
    outside = [(name, why) for name, why in zip(asked.names, answer.outside, strict=True) if why]
    for name, why in outside[:_SHOWN]:
        note(f"warning: {name} is outside of what was trained on: {why}")
    if len(outside) > _SHOWN:
        note(f"… and {len(outside) - _SHOWN} more, in the file")
    return FLAGGED if outside else 0
