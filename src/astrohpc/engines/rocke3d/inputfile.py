"""The ``I`` file of a run folder: what the model reads each time it is launched, not the rundeck."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from astrohpc.engines.rocke3d.parameterfile import ParameterFile, find_begin, parse_rest
from astrohpc.engines.rocke3d.text import Place, check_ascii, format_value, read_text, split
from astrohpc.errors import ConfigError

_KIND = "ModelE input file 'I'"
_FILE = "_file_"
LABEL_LINES = 2
LABEL_CHARACTERS = 132  # of both lines together, of which the first has 80


@dataclass(frozen=True)
class InputFile(ParameterFile):
    """An ``I`` file. Its name in the folder is ``I``, and writing it lets a finished run go on."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file."""
        return cls._parse(read_text(path, _KIND), str(path))

    @classmethod
    def parse(cls, data: bytes, file: str = "I") -> Self:
        """Read the bytes of a file; errors call it ``file``."""
        return cls._parse(split(data, file, _KIND), file)

    @classmethod
    def _parse(cls, lines: tuple[str, ...], file: str) -> Self:
        begin = find_begin(lines, file, _KIND)
        for number, line in enumerate(lines[:begin], 1):
            check_ascii(line, Place(file, number))
        if begin < LABEL_LINES:
            raise Place(file, 1).error(
                f"there are {begin} lines before &&PARAMETERS and the model takes the first two as "
                "the label; put two lines there, of which the second may be empty."
            )
        block, mark, namelists = parse_rest(lines, file, begin, deck=False)
        return cls(file, lines[: begin + 1], block, mark, namelists)

    @property
    def label(self) -> str:
        """What the model writes into its files as ``xlabel``."""
        return " ".join(line.strip() for line in self.head[:LABEL_LINES]).strip()

    @property
    def run(self) -> str:
        """The run's name: the label up to its first blank or bracket, as the model takes it."""
        return self.label.partition("(")[0].partition(" ")[0]

    @property
    def input_files(self) -> dict[str, str]:
        """Input data by the name under which the model opens it, such as ``AIC``."""
        return {
            name[len(_FILE) :]: str(value)
            for name, value in self.parameters.items()
            if name.lower().startswith(_FILE)
        }

    def with_input_file(self, name: str, path: str) -> Self:
        """The file with one piece of input data at another place."""
        if not path.strip():
            raise ConfigError(f"{self.file}: {name}: an empty path is no input file; name one.")
        format_value(name, path)
        return self.updated({_FILE + name: path})

    def labelled(self, label: str) -> Self:
        """The file with another label, which must fit into what the model keeps of it."""
        limit = 72
        if len(label) > limit or not label.isascii() or not label.isprintable():
            raise ConfigError(
                f"{self.file}: label: {label!r} does not fit; use at most {limit} ASCII characters."
            )
        end = "\r\n" if self.head[0].endswith("\r\n") else "\n"
        return replace(self, head=(label + end, *self.head[1:]))
