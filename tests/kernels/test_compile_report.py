import pytest

from astrohpc.kernels import compile_report
from astrohpc.kernels.build import NoKernel
from astrohpc.kernels.compile_report import ARCHES, Usage, main, read
from astrohpc.kernels.sources import SOURCES

pytest.importorskip("cuda.core")

_SAID = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'k' for 'sm_80'
ptxas info    : Function properties for k
ptxas         .     16 bytes stack frame, 24 bytes spill stores, 32 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 4096 bytes smem, 364 bytes cmem[0]
"""


def test_every_kernel_compiles_without_a_gpu_and_spills_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main() == 0
    told = capsys.readouterr().out
    kernels = sum(len(source.variants) * len(source.kernels) for source in SOURCES.values())
    lines = [line for line in told.splitlines() if any(f" {arch} " in line for arch in ARCHES)]
    assert len(lines) == kernels * len(ARCHES)
    assert all(line.split()[-1] == "0" for line in lines)


def test_what_ptxas_says_is_read() -> None:
    assert read("k", "X=f32", "sm_80", _SAID) == Usage("k X=f32", "sm_80", 255, 4096, 16, 56)
    with pytest.raises(NoKernel, match="told no registers of other"):
        read("other", "X=f32", "sm_80", _SAID)


def test_a_kernel_that_spills_fails_the_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compile_report, "SOURCES", {"zonal": SOURCES["zonal"]})
    said = _SAID.replace("'k'", "'zonal'")
    monkeypatch.setattr(compile_report, "compiled", lambda text, arch: (text, said))
    assert main() == 1
    assert "spilled registers: zonal" in capsys.readouterr().err
