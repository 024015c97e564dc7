"""What a person may choose about a store; the same words in ``configs/store`` and on the command line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from astrohpc.errors import ConfigError
from astrohpc.store.codec import Codec

MIB = 2**20
_LEAST_MEMORY_MIB = 128
_SHARD_LIMIT_MIB = 64  # where memory allows: a file of this size suits Lustre, and few are made
_LEVELS = {"planes": 1, "blosc": 5, "lz4": 5, "deflate": 4, "none": 0}
_BASE_MIB = 80  # the interpreter and its libraries


@dataclass(frozen=True, kw_only=True)
class StoreSettings:
    """How sources become a store.

    ``members`` says what makes a member of a folder of files: ``one`` run in all files, each ``folder``,
    each ``file``, or a regular expression with a group named ``member``. A sweep knows its own.
    """

    name: str = "default"
    codec: Literal["planes", "blosc", "lz4", "deflate", "none"] = "planes"
    level: int = 0  # of the codec; 0 is the one that suits it
    read: Literal["sample", "map", "series"] = "sample"  # what one inner chunk holds
    members: str = "auto"
    variables: tuple[str, ...] = ()  # names or patterns as ta, *_mean; none: all
    without: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    names: Literal["canonical", "kept"] = "canonical"  # of what an engine wrote itself
    packing: Literal["auto", "keep", "unpack"] = "auto"
    vary: tuple[str, ...] = ()  # coordinates that may differ from member to member
    regrid: str = ""  # a target grid: gaussian 32x64, latlon 46x72, T21
    regrid_method: Literal["conservative", "bilinear"] = "conservative"
    levels: tuple[float, ...] = ()  # target layers as edges of sigma, 0 to 1
    float32: bool = False
    digits: Mapping[str, int] = field(
        default_factory=dict
    )  # significant digits by variable, "*" all
    statistics: bool = True
    memory_mib: int = 512  # a rank's
    threads: int = 0  # a rank's; 0 is one for each core that it may use
    page: bool = True  # a report page with pictures, when all is done

    def __post_init__(self) -> None:
        if self.memory_mib < _LEAST_MEMORY_MIB:
            raise ConfigError(
                f"memory_mib: {self.memory_mib} is too little for one rank; write {_LEAST_MEMORY_MIB} "
                "or more."
            )
        if self.threads < 0:
            raise ConfigError("threads: it cannot be negative; write 0 for one on every core.")
        if self.level < 0:
            raise ConfigError("level: it cannot be negative; write 0 for the one that suits.")
        for name, digits in self.digits.items():
            if not 1 <= digits <= 15:
                raise ConfigError(
                    f"digits.{name}: {digits} significant digits cannot be kept; write 1 to 15."
                )
        for name, new in self.rename.items():
            if not new or "/" in new or new.startswith((".", "__")):
                raise ConfigError(
                    f"rename.{name}: {new!r} cannot be an array's name; write one of letters, digits "
                    "and underscores."
                )

    def shard_bytes(self, threads: int) -> int:
        """How many bytes of values one shard may hold, so that all threads stay within the memory.

        A shard on its way is there as values, as bytes and, while it is proved, a second time.
        """
        most = (self.memory_mib - _BASE_MIB) * MIB // (3 * threads)
        return min(most, _SHARD_LIMIT_MIB * MIB)

    def coding(self, *, shuffle: bool = True) -> Codec:
        """The codec, at the level that was asked for or that suits it."""
        return Codec(self.codec, self.level or _LEVELS[self.codec], shuffle)

    def decides(self) -> Mapping[str, object]:
        """What makes the store what it is: all but the way in which it is made."""
        hidden = ("memory_mib", "threads", "name", "page", "statistics")
        return {name: value for name, value in vars(self).items() if name not in hidden}
