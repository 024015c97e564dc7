"""The CUDA C++ kernels of the house: which file, which statements it calls, for which stored types."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrohpc.kernels import formulas
from astrohpc.kernels import formulas_spectra as spectra
from astrohpc.kernels import formulas_warp as warp
from astrohpc.kernels.statement import printed

HERE = Path(__file__).parent
# How a stored number is called in C++; bf16 is made of 16 bits and has no arithmetic of its own.
STORED = {"float32": "f32", "float64": "f64", "bfloat16": "bf16"}
_LOADS = """\
struct bf16 { unsigned short bits; };
__device__ __forceinline__ f32 value_of(f32 x) { return x; }
__device__ __forceinline__ f64 value_of(f64 x) { return x; }
__device__ __forceinline__ f32 value_of(bf16 x) { return from_bfloat16(x.bits); }
"""


@dataclass(frozen=True)
class Source:
    """A ``.cu`` file, and the kernels in it."""

    name: str
    kernels: tuple[str, ...]
    statements: tuple[Callable[..., Any], ...]
    variants: tuple[Mapping[str, str], ...]
    traffic: str  # what it reads and writes, in words that can be checked against a profile

    def text(self, variant: Mapping[str, str]) -> str:
        """All that the compiler reads: types, printed statements, the variant's names, the file."""
        names = [f"#define {name} {value}" for name, value in sorted(variant.items())]
        body = (HERE / f"{self.name}.cu").read_text(encoding="utf-8")
        statements = printed(formulas.from_bfloat16, *self.statements)
        return "\n".join([statements, _LOADS, *names, f'#line 1 "{self.name}.cu"', body])


def _stored(*names: str) -> tuple[dict[str, str], ...]:
    """A variant for each stored type, or for each pair of stored types."""
    found: list[dict[str, str]] = [{}]
    for name in names:
        found = [{**each, name: value} for each in found for value in STORED.values()]
    return tuple(found)


SOURCES = {
    source.name: source
    for source in (
        Source(
            "zonal",
            ("zonal",),
            (),
            _stored("X", "P"),
            "reads x once and the row's pressure once a block; writes 52 bytes a row",
        ),
        Source(
            "augment",
            ("augment_trace", "augment_weigh", "augment", "augment_wind"),
            (
                *(formulas.philox, formulas.normal_pair, formulas.to_bfloat16),
                *(warp.control_weight, warp.turned, warp.angle, warp.place, warp.carried, warp.cap),
                *(warp.both, warp.fabs_of, warp.onward, warp.mass_share, warp.mixed, warp.between),
                *(warp.bounded, warp.mended, warp.lane_term, warp.noisy),
            ),
            tuple({"X": STORED[kind]} for kind in ("float32", "bfloat16")),
            "reads each value and its partner's once from memory, again from the second cache; writes a "
            "draft, then the result in its place (bfloat16: drafts in a scratch that blocks use again)",
        ),
        Source(
            "spectra",
            ("spectra", "spectra_long"),
            (
                *(formulas.normals4, spectra.to_word, spectra.seen_at, spectra.slope_within),
                *(
                    spectra.light_below,
                    spectra.blurred,
                    spectra.curve_between,
                    spectra.mean_between,
                ),
                *(spectra.smooth_curve, spectra.answered, spectra.photon_noise, spectra.even_noise),
                spectra.disturbed,
            ),
            tuple({"X": STORED[kind]} for kind in ("float32", "bfloat16")),
            "reads each value once and writes it once; the grid of all spectra is read from the first cache, "
            "a spectrum's own numbers and weights once",
        ),
    )
}
