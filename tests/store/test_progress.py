"""What a person is told who waits: here the peak of memory, which must be this program's own."""

import subprocess
import sys

PROGRAM = "from astrohpc.store.progress import peak_memory_bytes; print(peak_memory_bytes())"


def test_the_peak_of_memory_is_not_that_of_the_program_that_started_this_one() -> None:
    alone = _peak(f"exec({PROGRAM!r})")
    under = (
        "import subprocess, sys\n"
        "held = bytearray(b'x') * (400 << 20)\n"
        f"print(subprocess.check_output([sys.executable, '-c', {PROGRAM!r}], text=True))\n"
    )
    assert 1 << 20 < alone < 200 << 20
    assert _peak(under) < 2 * alone


def _peak(program: str) -> int:
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return int(said.stdout)
