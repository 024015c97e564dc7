"""How a check is done; nothing of this is physics, which :mod:`astrohpc.physics.budgets` states."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from astrohpc.errors import ConfigError

# Of values that are read at once; fixed, so that no number depends on ranks, threads or memory.
BLOCK_BYTES = 2**24
_LEAST_MEMORY_MIB = 128
_BASE_MIB = 64  # of a rank that holds nothing: the interpreter and its libraries
_HELD = 4  # a block is there as values, as what the reader decodes, and as sums


@dataclass(frozen=True)
class CheckSettings:
    """What a person may choose."""

    name: str = "default"
    laws: tuple[str, ...] = ()  # by their names; none: all
    members: str = "auto"  # of files: one, folder, file, or a regular expression; auto: one a file
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: cuda in an allocation with GPUs
    memory_mib: int = 512  # a rank's
    threads: int = 0  # a rank's; 0 is one for each core that it may use
    page: bool = True

    def __post_init__(self) -> None:
        if self.memory_mib < _LEAST_MEMORY_MIB:
            raise ConfigError(
                f"memory_mib: {self.memory_mib} is too little for one rank; write {_LEAST_MEMORY_MIB} "
                "or more."
            )
        if self.threads < 0:
            raise ConfigError("threads: it cannot be negative; write 0 for one on every core.")

    def hands(self, threads: int, members: int) -> int:
        """How many members are read at once by one rank, within its memory."""
        most = (self.memory_mib - _BASE_MIB) * 2**20 // (_HELD * BLOCK_BYTES)
        return max(1, min(threads, members, most))

    def decides(self) -> Mapping[str, object]:
        """What can make the report another one: all but the way in which it is made."""
        return {"laws": list(self.laws), "members": self.members}
