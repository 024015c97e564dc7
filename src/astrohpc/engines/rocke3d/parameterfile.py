"""What a rundeck and an ``I`` file have in common: parameters, then the dates of the run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from astrohpc.engines.rocke3d.namelists import ModelDate, Namelists
from astrohpc.engines.rocke3d.parameterblock import BEGIN, END, ParameterBlock
from astrohpc.engines.rocke3d.text import Place, Value, content, join
from astrohpc.errors import ConfigError
from astrohpc.files import write_atomic


@dataclass(frozen=True)
class ParameterFile:
    """A file of the model as a value: each edit gives a new one, and all else keeps its bytes."""

    file: str
    head: tuple[str, ...]  # up to and with the line &&PARAMETERS
    parameters: ParameterBlock
    mark: str  # the line &&END_PARAMETERS
    namelists: Namelists

    @property
    def data(self) -> bytes:
        """The bytes of the file."""
        return join((*self.head, *self.parameters.lines, self.mark, *self.namelists.lines))

    def write(self, path: Path) -> None:
        """Write the file; a crash leaves the old one or the new one."""
        write_atomic(path, self.data)

    def updated(self, changes: Mapping[str, Value]) -> Self:
        """The file with these parameters changed in place, or added before ``&&END_PARAMETERS``."""
        return replace(self, parameters=self.parameters.updated(changes))

    def without(self, name: str) -> Self:
        """The file without a parameter."""
        return replace(self, parameters=self.parameters.without(name))

    @property
    def start(self) -> ModelDate | None:
        """When the run starts, which a restart ignores."""
        return self.namelists.date("I")

    @property
    def end(self) -> ModelDate | None:
        """When the run ends."""
        return self.namelists.date("E")

    @property
    def cold_end(self) -> ModelDate | None:
        """When the short first leg of a cold start ends."""
        return self.namelists.date("E", cold=True)

    def starting(self, date: ModelDate) -> Self:
        """The file with another start."""
        return replace(self, namelists=self.namelists.dated("I", date))

    def ending(self, date: ModelDate, *, cold: bool = False) -> Self:
        """The file with another end of the run, or of its cold first leg."""
        return replace(self, namelists=self.namelists.dated("E", date, cold=cold))

    @property
    def istart(self) -> int:
        """From what a launch starts: 10, the later of the two restarts, unless the file says so."""
        return self.namelists.get("ISTART") or 10

    def restarting(self, istart: int) -> Self:
        """The file with another choice of restart."""
        if istart not in RESTARTS:
            choices = "; ".join(f"{key} {meaning}" for key, meaning in RESTARTS.items())
            raise ConfigError(f"ISTART: {istart} is no restart; choose from {choices}.")
        return replace(self, namelists=self.namelists.set("ISTART", istart))


RESTARTS = {
    9: "a month-start restart of this run, linked as AIC",
    10: "the later of fort.1 and fort.2",
    11: "fort.1",
    12: "fort.2",
    13: "the earlier of fort.1 and fort.2",
}


def parse_rest(
    lines: Sequence[str], file: str, begin: int, *, deck: bool
) -> tuple[ParameterBlock, str, Namelists]:
    """Everything after the line ``&&PARAMETERS``, which is ``lines[begin]``."""
    for index in range(begin + 1, len(lines)):
        text = content(lines[index]).strip().upper()
        if text.startswith(END):
            block = ParameterBlock.parse(lines[begin + 1 : index], file, begin + 2)
            rest = Namelists.parse(lines[index + 1 :], file, index + 2, deck=deck)
            return block, lines[index], rest
        if text.startswith("&"):
            raise Place(file, index + 1).error(
                f"{text.split()[0]} stands where {END} is missing; add a line {END} before it."
            )
    raise Place(file, len(lines)).error(
        f"the parameters have no end, so the file may be cut short; add a line {END}."
    )


def find_begin(lines: Sequence[str], file: str, what: str) -> int:
    """Where ``&&PARAMETERS`` stands."""
    for index, line in enumerate(lines):
        text = content(line).strip()
        if text.upper() == BEGIN:
            return index
        if text.startswith("&"):
            raise Place(file, index + 1).error(
                f"unknown section {text.split()[0]}; did you mean {BEGIN!r}?"
            )
    raise Place(file, len(lines)).error(
        f"there is no {BEGIN}, so this is no {what} or it is cut short; add the parameters, or "
        f"name a {what}."
    )
