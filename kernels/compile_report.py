"""The compile report: ``python -m astrohpc.kernels.compile_report``, on any machine, with no GPU or driver.

Compiles every kernel for A100 and H100 as it is compiled where it runs, and prints what ptxas says of
each. Registers that do not suffice are spilled to memory, which kills a kernel that is bound by memory:
that is an error here.
"""

import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

from astrohpc.kernels.build import NoKernel
from astrohpc.kernels.cuda import compiled
from astrohpc.kernels.sources import SOURCES

ARCHES = ("sm_80", "sm_90")


class Usage(NamedTuple):
    """What one kernel takes of a multiprocessor."""

    kernel: str
    arch: str
    registers: int
    shared_bytes: int
    stack_bytes: int
    spilled_bytes: int


def usages() -> Iterator[Usage]:
    """Every kernel in every variant for every architecture."""
    for source in SOURCES.values():
        for variant in source.variants:
            kind = " ".join(f"{name}={value}" for name, value in sorted(variant.items()))
            for arch in ARCHES:
                _, said = compiled(source.text(variant), arch)
                for kernel in source.kernels:
                    yield read(kernel, kind, arch, said)


def read(kernel: str, kind: str, arch: str, said: str) -> Usage:
    """The numbers in what ptxas said of one kernel."""
    entry = said.partition(f"Compiling entry function '{kernel}' ")[2]
    entry = entry.partition("Compiling entry function")[0]

    def number(pattern: str) -> int:
        found = re.search(rf"(\d+) {pattern}", entry)
        return int(found[1]) if found else 0

    registers = re.search(r"Used (\d+) registers", entry)
    if registers is None:
        raise NoKernel(f"the compiler told no registers of {kernel} for {arch}")
    return Usage(
        f"{kernel} {kind}",
        arch,
        int(registers[1]),
        number("bytes smem"),
        number("bytes stack frame"),
        number("bytes spill stores") + number("bytes spill loads"),
    )


def main() -> int:
    """Print the table; 1 where a kernel spills."""
    spilled = []
    row = "{:<24} {:<6} {:>9} {:>8} {:>7} {:>7}".format
    print(row("kernel", "arch", "registers", "shared B", "stack B", "spill B"))
    for usage in usages():
        print(row(*map(str, usage)))
        if usage.spilled_bytes:
            spilled.append(f"{usage.kernel} {usage.arch}")
    for source in SOURCES.values():
        print(f"{source.name}: {source.traffic}")
    if spilled:
        print(
            f"spilled registers: {', '.join(spilled)}; make these kernels hold less",
            file=sys.stderr,
        )
    return int(bool(spilled))


if __name__ == "__main__":
    sys.exit(main())
