"""One statement of a formula, two machines: a typed Python function becomes numba and CUDA C++.

A statement is a small function of numbers, written in a subset of Python::

    @statement
    def mulhi(a: u32, b: u32) -> u32:
        return u32((u64(a) * u64(b)) >> 32)

It is read once and printed twice: as a Python function that numba compiles into the loops that call it,
and as a ``__device__`` function of the same name, which ``.cu`` files call. Three rules give both the same
bits. Nothing is promoted: both sides of an operator have one type, others are cast by name, and a literal
takes the type of what it is with. (numba alone makes 64 bits of ``u32 * u32`` and a float64 of
``f32 * 0.5``.) Nothing is contracted: a product is rounded before it is added. And nothing of a
mathematical library is called but what IEEE 754 defines to the last bit.

What may be used: assignment to a name, or of a call's results to several; ``+=`` and its like; if and
else; ``for _ in range(10)``, which is written out ten times; return of a value or a tuple; ``x if c else
y``, comparisons, ``and``, ``or``, ``not``; casts; numbers of the module by name; other statements;
``sqrt``, ``floor``, ``fabs``, ``float_bits`` and ``bits_float``. Whole numbers wrap, and only unsigned ones
are divided. A float cast to whole numbers that cannot hold it, and a shift by all bits or more, mean
nothing on either machine.
"""

import ast
import hashlib
import inspect
import linecache
import operator
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numba import njit

from astrohpc.kernels import printer

F = TypeVar("F", bound=Callable[..., Any])

if TYPE_CHECKING:  # what a type checker knows of them is enough to find a wrong name
    u32 = int
    u64 = int
    i32 = int
    i64 = int
    f32 = float
    f64 = float
else:
    u32, u64, i32, i64 = np.uint32, np.uint64, np.int32, np.int64
    f32, f64 = np.float32, np.float64


def sqrt(x: float) -> float:
    """The square root, correctly rounded."""
    return float(np.sqrt(x))


def floor(x: float) -> float:
    """The largest whole number that is not above ``x``, as a float."""
    return float(np.floor(x))


def fabs(x: float) -> float:
    """The size of ``x``."""
    return abs(x)


def float_bits(x: float) -> int:
    """The 32 bits of a float32."""
    return int(np.float32(x).view(np.uint32))


def bits_float(x: int) -> float:
    """The float32 of 32 bits."""
    return float(np.uint32(x).view(np.float32))


_SPACE = {
    **{"u32": u32, "u64": u64, "i32": i32, "i64": i64, "f32": f32, "f64": f64},
    **{"mul32": operator.mul, "sqrt32": np.sqrt, "floor32": np.floor},
    **{"mul64": operator.mul, "sqrt64": np.sqrt, "floor64": np.floor},
}
# What a .cu file and the statements before it take for granted.
PRELUDE = """\
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int i32;
typedef long long i64;
typedef float f32;
typedef double f64;
#ifndef DYNAMIC_SHARED
#define DYNAMIC_SHARED(type, name) extern __shared__ type name[]
#endif
__device__ __forceinline__ u32 float_bits(f32 x) { return __float_as_uint(x); }
__device__ __forceinline__ f32 bits_float(u32 x) { return __uint_as_float(x); }

"""


@dataclass(frozen=True, eq=False)
class Statement:
    """A statement that was read: both texts, and the statements that it calls."""

    texts: printer.Texts
    calls: tuple["Statement", ...]

    def with_callees(self) -> Iterator["Statement"]:
        """Those it calls, then itself; one may come twice."""
        for called in self.calls:
            yield from called.with_callees()
        yield self


def statement(function: F) -> F:
    """The numba function of a statement; :func:`printed` gives its CUDA C++."""
    source = textwrap.dedent(inspect.getsource(function))
    tree = ast.parse(source).body[0]
    assert isinstance(tree, ast.FunctionDef), "a decorator in source stands before def or class"
    ast.increment_lineno(tree, function.__code__.co_firstlineno - 1)

    def look_up(name: str) -> printer.Signature | int | float | None:
        found = function.__globals__.get(name)
        known: Statement | None = getattr(found, "statement", None)
        return known.texts.signature if known else found

    texts = printer.read(tree, look_up, function.__module__)
    callees = {name: function.__globals__[name] for name in texts.calls}
    made: Any = njit(forceinline=True, nogil=True, error_model="numpy")(
        _executed(texts.python, f"<statement {function.__module__}.{tree.name}>", callees)
    )
    made.statement = Statement(texts, tuple(x.statement for x in callees.values()))
    made.__doc__ = function.__doc__
    result: F = made
    return result


def _executed(text: str, name: str, callees: dict[str, Any]) -> Callable[..., Any]:
    """The function of a text; tracebacks and numba's messages find the text under its name."""
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    space = {**_SPACE, **callees}
    exec(compile(text, name, "exec"), space)  # noqa: S102 - the printer's own text
    made: Callable[..., Any] = space[text[len("def ") : text.index("(")]]
    return made


def device(*functions: Callable[..., Any]) -> tuple[Any, ...]:
    """The numba-cuda device functions of these statements; in CUDA's simulator as well."""
    from numba import config  # noqa: PLC0415
    from numba import cuda as numba_cuda  # noqa: PLC0415 - an extra, and slow to load

    cuda: Any = numba_cuda
    exact = {}
    if not getattr(config, "ENABLE_CUDASIM", False):
        # A product is asked for as one that rounds: numba-cuda has no other way to forbid contraction.
        its = cuda.libdevice
        exact = {"mul32": its.fmul_rn, "sqrt32": its.fsqrt_rn, "floor32": its.floorf}
        exact |= {"mul64": its.dmul_rn, "sqrt64": its.dsqrt_rn, "floor64": its.floor}
    made: dict[str, Any] = {}
    for each in statements_of(*functions):
        name = _name(each)
        text = _executed(each.texts.python, f"<device statement {name}>", {**made, **exact})
        made[name] = cuda.jit(device=True)(text)
    return tuple(made[function.__name__] for function in functions)


def statements_of(*functions: Callable[..., Any]) -> tuple[Statement, ...]:
    """The statements behind these functions, callees first, each once."""
    found: dict[str, Statement] = {}
    for function in functions:
        known: Statement | None = getattr(function, "statement", None)
        if known is None:
            raise ValueError(f"{function} is no statement; put @statement before it.")
        for each in known.with_callees():
            name = _name(each)
            if found.setdefault(name, each) is not each:
                raise ValueError(f"two statements have the name {name}; CUDA C++ needs one a name.")
    return tuple(found.values())


def _name(one: Statement) -> str:
    return one.texts.python[len("def ") : one.texts.python.index("(")]


def printed(*functions: Callable[..., Any]) -> str:
    """CUDA C++ of these statements and of those that they call, in an order that compiles."""
    return "\n".join([PRELUDE, *(each.texts.cuda for each in statements_of(*functions))])


def twin(function: F) -> F:
    """A loop over statements as numba code that is kept on disk, and made anew when a statement changes.

    numba alone would keep what it compiled for as long as the loop's own file is the same.
    """
    made: Any = njit(cache=True, nogil=True, error_model="numpy")(function)
    digest = hashlib.sha256("".join(_sources(function, set())).encode()).hexdigest()
    kept = made._cache._cache_file  # numba has no public way to say what else code depends on
    kept._source_stamp = (kept._source_stamp, digest)
    result: F = made
    return result


def _sources(function: Callable[..., Any], seen: set[str]) -> Iterator[str]:
    """The texts of all compiled functions that a function calls, by whichever way."""
    for name in function.__code__.co_names:
        found: Any = function.__globals__.get(name)
        if (known := getattr(found, "statement", None)) is not None:
            yield from (each.texts.python for each in known.with_callees())
        elif hasattr(found, "py_func") and name not in seen:
            seen.add(name)
            yield inspect.getsource(found.py_func)
            yield from _sources(found.py_func, seen)
