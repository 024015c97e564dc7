"""From a configured deck to the ``I`` file, as ModelE's own set-up makes it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from astrohpc.constants import DAY_S
from astrohpc.engines.rocke3d.configuration import Configuration, time_steps_s
from astrohpc.engines.rocke3d.inputfile import InputFile
from astrohpc.engines.rocke3d.namelists import ModelDate
from astrohpc.engines.rocke3d.parameterblock import BEGIN, END
from astrohpc.engines.rocke3d.rundeck import Rundeck
from astrohpc.engines.rocke3d.settings import Rocke3dSettings
from astrohpc.engines.rocke3d.text import MAX_TEXT, Value, format_value
from astrohpc.errors import ConfigError

MONTHS = 12
_FILTERS = ("DT_XUfilter", "DT_XVfilter")


def make_input(configuration: Configuration, settings: Rocke3dSettings) -> InputFile:
    """The ``I`` file of a member, its end date still the deck's."""
    deck = configuration.deck
    check_deck(deck)
    lines = [f"{deck.name} ({configuration.executable.params.name})", ""]
    lines.append(f" {BEGIN}")
    values = deck.parameters.updated(_cadence(deck, settings))
    lines += [f" {name}={format_value(name, value)}" for name, value in values.items()]
    for name, path in input_paths(deck, settings).items():
        lines.append(f" _file_{name}={format_value(name, _recorded(path))}")
    lines.append(f" {END}")
    for group, cold in (("INPUTZ", False), ("INPUTZ_cold", True)):
        lines += [f" &{group}", *(f" {one}" for one in deck.namelists.assignments(cold=cold)), " /"]
        lines.append("")
    text = "\n".join(lines[:-1]) + "\n"
    return InputFile.parse(text.encode("ascii"), f"I (from {deck.file})")


def _recorded(path: Path) -> str:
    """The path as the model keeps it, for the record alone: it opens the link that we make.

    Of one that is longer than the model's texts the end is kept, which says more than the beginning.
    """
    text = str(path)
    return text if len(text) <= MAX_TEXT else "..." + text[3 - MAX_TEXT :]


def check_deck(deck: Rundeck) -> None:
    """Refuse a deck that cannot be begun from nothing and run in whole months."""
    start = deck.start
    if start is None or (start.day, start.hour) != (1, 0):
        raise ConfigError(
            f"{deck.file}: &INPUTZ: the run must start at hour 0 of a month's first day, so that "
            "months are whole; write for example YEARI=1,MONTHI=1,DATEI=1,HOURI=0."
        )
    if not deck.namelists.has_cold:
        raise ConfigError(
            f"{deck.file}: &INPUTZ: there is no cold start; add a line such as "
            "' ISTART=2,IRANDI=0, YEARE=1,MONTHE=1,DATEE=1,HOURE=1,'."
        )


def _cadence(deck: Rundeck, settings: Rocke3dSettings) -> dict[str, Value]:
    """How often files are written, which changes no result."""
    source_s = deck.parameters["DTsrc"]
    assert isinstance(source_s, float)
    # The flag is read every Nssw steps, and the model's daily diagnostics want an even number.
    steps = max(2, 2 * round(settings.checkpoint_days * DAY_S / source_s / 2))
    if "KRSF" in deck.parameters:
        return {"Ndisk": steps, "KCOPY": 1, "KRSF": settings.restart_months}
    return {"Ndisk": steps, "KCOPY": 2}


def input_paths(deck: Rundeck, settings: Rocke3dSettings) -> dict[str, Path]:
    """Where each piece of input data lies; ConfigError with the first that does not."""
    folder = Path(settings.input_files).expanduser().absolute()
    paths = {name: folder / written for name, written in deck.data_files.items()}
    missing = [name for name, path in paths.items() if not path.exists()]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise ConfigError(
            f"input_files: {paths[missing[0]]} is not there, which the deck opens as "
            f"{missing[0]}{more}; fetch it, or correct engine.input_files."
        )
    return paths


def shortened(run: InputFile, factor: float) -> InputFile:
    """The file with a dynamics step shorter by ``factor``, and the filters that follow it."""
    if factor >= 1.0:
        return run
    source_s, step_s = run.parameters["DTsrc"], run.parameters["DT"]
    assert isinstance(source_s, float)
    assert isinstance(step_s, float)
    # Two physics steps make a day in which the physics step is allowed to stay as it is.
    short_s = time_steps_s(2.0 * source_s, source_s, step_s * factor)[1]
    changes: dict[str, Value] = {"DT": short_s}
    for name in _FILTERS:
        if run.parameters.get(name) == step_s:
            changes[name] = short_s
    return run.updated(changes)


def months_later(date: ModelDate, months: int) -> ModelDate:
    """The same time of a later month, in a calendar of twelve months.

    >>> months_later(ModelDate(1, 11), 3)
    ModelDate(year=2, month=2, day=1, hour=0)
    """
    years, month = divmod(date.month - 1 + months, MONTHS)
    return replace(date, year=date.year + years, month=month + 1)


def asked_parameters(run: InputFile, *, steps: bool) -> Mapping[str, Value]:
    """What the output is to be held against; ``steps`` is false where DT was changed on the way."""
    # How often files are written is not asked of the climate, and the model itself changes the
    # last two as it runs.
    left_out = {"ndisk", "kcopy", "krsf", "irand", "niprnt"}
    if not steps:
        left_out |= {"dt", *map(str.lower, _FILTERS)}
    return {
        name: value
        for name, value in run.parameters.items()
        if name.lower() not in left_out and not name.startswith("_file_")
    }
