import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from support_cuda import host_kernel

from astrohpc.kernels import formulas
from astrohpc.kernels.statement import (
    bits_float,
    f32,
    f64,
    fabs,
    float_bits,
    floor,
    i32,
    i64,
    printed,
    sqrt,
    statement,
    twin,
    u32,
    u64,
)

_STEP = 0.1


@statement
def whole(a: u32, b: u32, c: i32, d: i32) -> tuple[u32, u64, i32, i64]:
    """Whole numbers wrap, also where numba alone would widen them."""
    wide = u64(a * b) * u64(b) + (u64(a) << 33)
    low = ((a + b) ^ ~b) % (b | 1) - (a >> 3) // 7
    near = (c * d + (c << 3)) - (-d >> 2)
    if c > d and not (a == b or a <= 5):
        near -= i32(a)
    else:
        near = near ^ c
    long = i64(c) * i64(d) - i64(near)  # a word of C++
    return low, wide, near, long


@statement
def blended(x: f32, y: f32) -> f32:
    """float32 throughout, although 0.1 is a float64 in Python."""
    z = x * _STEP + y * -0.25
    z = z * z + x
    return sqrt(fabs(z)) / 3.0 - floor(y)


@statement
def several(x: f32, y: f32, n: u32) -> tuple[f32, u32, f64, f32]:
    """All else that the subset holds."""
    z = blended(x, y)
    for _ in range(3):
        z = z * 0.5 + x
    if z < 0.0:
        sign = f32(-1.0)
    elif z == 0.0:
        sign = f32(0.0)
    else:
        sign = f32(1.0)
    bits = float_bits(z) ^ n
    d = f64(x) * f64(y) * 0.1 + f64(n)
    return z if x < y else -z, bits, d, bits_float(bits & 0x3FFFFFFF) * sign + f32(n)


@twin
def both(a, b, c, d, x, y, w0, w1, w2, w3, s0, s1, s2, s3):
    for i in range(len(a)):
        w0[i], w1[i], w2[i], w3[i] = whole(a[i], b[i], c[i], d[i])
        s0[i], s1[i], s2[i], s3[i] = several(x[i], y[i], a[i])


_BOTH = """
extern "C" __global__ void both(i32 n, const u32* a, const u32* b, const i32* c, const i32* d,
    const f32* x, const f32* y, u32* w0, u64* w1, i32* w2, i64* w3, f32* s0, u32* s1, f64* s2, f32* s3) {
    const i32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const auto w = whole(a[i], b[i], c[i], d[i]);
    w0[i] = w._0; w1[i] = w._1; w2[i] = w._2; w3[i] = w._3;
    const auto s = several(x[i], y[i], a[i]);
    s0[i] = s._0; s1[i] = s._1; s2[i] = s._2; s3[i] = s._3;
}
"""


def test_python_and_cuda_texts_of_a_statement_give_the_same_bits(tmp_path: Path) -> None:
    rng, n = np.random.default_rng(1), 3000
    bits = rng.integers(0, 2**32, (4, n), np.uint32)
    bits[:, :6] = [0, 1, 2**31 - 1, 2**31, 2**32 - 1, 6]
    # Products of signed numbers stay in range: where they leave it C++ promises nothing.
    near = rng.integers(-30_000, 30_000, (2, n), np.int32)
    x, y = (rng.normal(0, 10.0 ** rng.integers(-6, 6, n), n).astype(np.float32) for _ in range(2))
    kinds = (
        np.uint32,
        np.uint64,
        np.int32,
        np.int64,
        np.float32,
        np.uint32,
        np.float64,
        np.float32,
    )
    results = [[np.zeros(n, kind) for kind in kinds] for _ in range(2)]
    arguments = (bits[0], bits[1], near[0], near[1], x, y)
    both(*arguments, *results[0])
    run = host_kernel(printed(whole, several) + _BOTH, "both", tmp_path)
    run((-(-n // 64),), 64, np.int32(n), *arguments, *results[1])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one.view(f"u{one.itemsize}"), other.view(f"u{one.itemsize}"))
    # And what they give is what is meant, by whole numbers of Python.
    a, b = int(bits[0, 100]), int(bits[1, 100])
    assert results[0][1][100] == ((a * b % 2**32) * b + (a << 33)) % 2**64
    assert results[0][0][100] == (((a + b ^ ~b) % 2**32) % (b | 1) - (a >> 3) // 7) % 2**32


def test_a_float32_is_rounded_after_every_operation() -> None:
    x, y = np.float32(1.7), np.float32(-3.3)
    z = np.float32(x * np.float32(0.1)) + np.float32(y * np.float32(-0.25))
    z = np.float32(z * z) + x
    expected = np.float32(np.sqrt(np.abs(z)) / np.float32(3)) - np.floor(y)
    assert blended(x, y) == expected


def test_what_is_called_comes_before_its_caller_and_once() -> None:
    text = printed(formulas.normals4, formulas.philox)
    places = [
        text.index(f" {name}(u32 ") for name in ("mulhi", "philox_round", "philox", "normals4")
    ]
    assert places == sorted(places)
    assert text.count(" philox(u32 c0_") == 1


_REFUSED = {
    "i32 with u32": "return a + i32(1)",
    "u32 with f32": "return f32(1.0) * a",
    "a f32 here": "x = f32(a) % 2.0\n    return a",
    "a i32 here": "return u32(i32(a) // 2)",
    "0.5 as u32": "return a + 0.5",
    "4294967296 as u32": "return a + 4294967296",
    "a number without a type": "x = 3\n    return a",
    "the name unheard": "return a + unheard",
    "`unheard(a)`": "return unheard(a)",
    "`while a:`": "while a:\n        a -= 1\n    return a",
    "a range that is not a literal": "for _ in range(a):\n        a -= 1\n    return a",
    "x, which may have no value here": "if a > 3:\n        x = a\n    return x",
    "an end without return": "if a > 3:\n        return a",
    "a return of 2 values": "return a, a",
    "a bool here": "return u32(a < 3)",
    "a u32 here": "return a if a else a",
    "2 results for 3 names": "x, y, z = pair(a)\n    return x",
    "a tuple inside of an expression": "return pair(a) + a",
    "arithmetic of bare numbers": "return a + 2 * 3",
    "`a ** 2`": "return a ** 2",
    "`a[0]`": "return a[0]",
    "f32 with u32": "x = a\n    x = f32(a)\n    return x",
}


@pytest.mark.parametrize("message", _REFUSED)
def test_what_is_outside_of_the_subset_is_refused_by_function_and_line(
    message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = "f32, i32, sqrt, statement, u32"
    text = f"from astrohpc.kernels.statement import {names}\n\n"
    text += "@statement\ndef pair(a: u32) -> tuple[u32, u32]:\n    return a, a\n\n"
    text += f"@statement\ndef odd(a: u32) -> u32:\n    {_REFUSED[message]}\n"
    (tmp_path / "odd_one.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "odd_one", raising=False)
    with pytest.raises(ValueError) as error:
        __import__("odd_one")
    assert message in str(error.value)
    assert str(error.value).startswith("odd_one: statement odd, line ")
    assert int(str(error.value).split("line ")[1].split(":")[0]) in range(8, 14)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("def odd(a) -> u32", "no type"),
        ("def odd(a: float) -> u32", "float"),
        ("def odd(a: u32)", "no type"),
        ("def odd(a: u32 = 3) -> u32", "an argument that is not plain"),
    ],
)
def test_arguments_and_results_need_types_that_both_machines_have(
    head: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "from astrohpc.kernels.statement import statement, u32\n\n"
    (tmp_path / "odd_head.py").write_text(f"{text}@statement\n{head}:\n    return a\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "odd_head", raising=False)
    with pytest.raises(ValueError, match=f"statement odd, line 4: .*{message}"):
        __import__("odd_head")


def test_a_twin_is_kept_on_disk_and_made_anew_when_a_statement_changes(tmp_path: Path) -> None:
    (tmp_path / "loops.py").write_text(
        textwrap.dedent("""
        import numpy as np
        from astrohpc.kernels.statement import twin
        from rules import rule

        @twin
        def inner(x):
            return rule(x)

        @twin
        def loop(out):
            for i in range(len(out)):
                out[i] = inner(out[i])

        out = np.ones(1, np.float32)
        loop(out)
        print(out[0], sum(loop.stats.cache_hits.values()))
        """)
    )

    def told(factor: float) -> list[str]:
        (tmp_path / "rules.py").write_text(
            "from astrohpc.kernels.statement import f32, statement\n\n"
            f"@statement\ndef rule(x: f32) -> f32:\n    return x * {factor}\n"
        )
        path = os.pathsep.join([str(tmp_path), *sys.path])
        done = subprocess.run(
            [sys.executable, "loops.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    assert told(2.0) == ["2.0", "0"]
    assert told(2.0) == ["2.0", "1"]
    assert told(3.0) == ["3.0", "0"]


def test_no_product_is_contracted_and_roots_are_single_precision_on_a_gpu() -> None:
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc")
    text = (
        printed(formulas.normals4)
        + """
        extern "C" __global__ void four(f32* out, u32 seed) {
            const auto n = normals4(threadIdx.x, 0u, 0u, 0u, seed, 0u);
            out[threadIdx.x] = n._0 + n._1 + n._2 + n._3;
        }
    """
    )

    def asked(error: object, *found: object) -> object:
        assert error == nvrtc.nvrtcResult.NVRTC_SUCCESS
        return found[0] if found else None

    program = asked(*nvrtc.nvrtcCreateProgram(text.encode(), b"four.cu", 0, [], []))
    options = [b"--std=c++17", b"--fmad=false", b"--gpu-architecture=compute_90"]
    asked(*nvrtc.nvrtcCompileProgram(program, len(options), options))
    held = bytearray(asked(*nvrtc.nvrtcGetPTXSize(program)))
    asked(*nvrtc.nvrtcGetPTX(program, held))
    ptx = held.decode()
    assert "sqrt.rn.f32" in ptx
    assert "mul.rn.f32" in ptx
    assert "fma" not in ptx
    assert ".f64" not in ptx
    assert "call" not in ptx
