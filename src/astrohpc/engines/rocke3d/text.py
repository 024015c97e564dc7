"""Text as ModelE's own tools read it: lines in, the same bytes out, and values with Fortran's rules.

The model tells types apart by spelling alone (a quote is text, a point makes a real, the rest are
integers), cuts a comment at the first ``!`` or ``#`` even inside quotes, and cuts lines at 256
characters without a word. What would be cut or misread is refused here instead.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from astrohpc.errors import ConfigError

Scalar = int | float | str
Value = Scalar | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]

MAX_LINE = 256
MAX_NAME = 32
MAX_TEXT = 128
MAX_VALUES = 64
_INTEGER_LIMIT = 2**31

NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_REAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?", re.ASCII)
_COMMENT = re.compile(r"!|#|/\*")
_TOKEN = re.compile(r"'([^']*)'|[^\s,=']+")


@dataclass(frozen=True)
class Place:
    """A line of a file, as errors name it."""

    file: str
    line: int

    def error(self, sentence: str) -> ConfigError:
        """A sentence about this line."""
        return ConfigError(f"{self.file}, line {self.line}: {sentence}")


def read_text(path: Path, what: str) -> tuple[str, ...]:
    """The lines of one of the model's files; ``what`` says in an error which kind it should be."""
    try:
        return split(path.read_bytes(), str(path), what)
    except OSError as error:
        reason = "it is not there" if isinstance(error, FileNotFoundError) else error.strerror
        raise ConfigError(f"{path}: {reason}; name a {what} that can be read.") from error


def split(data: bytes, file: str, what: str) -> tuple[str, ...]:
    """Lines with their ends; bytes beyond ASCII survive as surrogates, so joining gives them back."""
    if not data.strip():
        raise ConfigError(f"{file}: the file is empty; write a {what} there.")
    if b"\0" in data:
        line = data[: data.index(b"\0")].count(b"\n") + 1
        raise Place(file, line).error(f"this is a binary file; name a {what}, which is text.")
    return tuple(re.findall(r"[^\n]*\n|[^\n]+", data.decode("ascii", "surrogateescape")))


def join(lines: tuple[str, ...]) -> bytes:
    """The bytes that :func:`split` came from."""
    return "".join(lines).encode("ascii", "surrogateescape")


def content(line: str) -> str:
    """A line without its comment and its end."""
    found = _COMMENT.search(line)
    return (line[: found.start()] if found else line).rstrip()


def check_ascii(text: str, place: Place) -> None:
    """Refuse bytes beyond ASCII where the model reads them; comments may have them."""
    if not text.isascii():
        bad = next(character for character in text if not character.isascii())
        raise place.error(
            f"the byte 0x{ord(bad) & 0xFF:02x} is not ASCII and stands outside a comment; "
            "spell it in plain letters."
        )


def parse_value(name: str, written: str, place: Place) -> Value:
    """The value that the model would read from ``written``: a number, text, or a tuple of them."""
    if '"' in written:
        raise place.error(f"{name}: {written} is in double quotes; use single ones.")
    if "'" in _TOKEN.sub("", written):
        raise place.error(
            f"{name}: {written} has a quote that does not close before the comment begins; "
            "put the text in single quotes, without '!' or '#' inside."
        )
    tokens = [found.group(0) for found in _TOKEN.finditer(written)]
    if not tokens:
        raise place.error(f"{name}: there is no value; write one after '=', or remove the line.")
    if len(tokens) > MAX_VALUES:
        raise place.error(
            f"{name}: {len(tokens)} values are more than the model's {MAX_VALUES}; give fewer."
        )
    if "'" in written:
        return _texts(name, tokens, place)
    real = "." in written
    numbers = [_number(name, token, place, real=real) for token in tokens]
    return numbers[0] if len(numbers) == 1 else tuple(numbers)


def _texts(name: str, tokens: list[str], place: Place) -> Value:
    for token in tokens:
        if not token.startswith("'"):
            raise place.error(f"{name}: {token} is text without quotes; write '{token}'.")
    texts = tuple(token[1:-1].rstrip() for token in tokens)
    for text in texts:
        if len(text) > MAX_TEXT:
            raise place.error(
                f"{name}: the model cuts text at {MAX_TEXT} characters and this has {len(text)}; "
                "use a shorter path, for example a symbolic link."
            )
    return texts[0] if len(texts) == 1 else texts


def _number(name: str, token: str, place: Place, *, real: bool) -> float:
    if "*" in token:
        raise place.error(
            f"{name}: the model reads {token} as one value; write repeated values one by one."
        )
    if real and _REAL.fullmatch(token):
        return float(token.lower().replace("d", "e"))
    if not real and _INTEGER.fullmatch(token):
        if abs(int(token)) >= _INTEGER_LIMIT:
            raise place.error(
                f"{name}: {token} is too large for an integer; write it as {token}. instead."
            )
        return int(token)
    remedy = (
        f"write {token[0]}.{token[1:]}"
        if re.fullmatch(r"\d[eEdD][+-]?\d+", token)
        else f"write a number, or '{token}' in quotes"
    )
    raise place.error(f"{name}: the model cannot read {token} as a number; {remedy}.")


def format_value(name: str, value: Value) -> str:
    """The spelling from which the model reads ``value`` with the right type.

    >>> format_value("rtau", (3e4, 1e-7))
    '30000.0,1.0e-07'
    >>> format_value("planetName", "Gliese")
    "'Gliese'"
    """
    if not isinstance(value, tuple):
        return _spell(name, value)
    if not value:
        raise ConfigError(f"{name}: an empty list is no value; give at least one, or remove it.")
    if len(value) > MAX_VALUES:
        raise ConfigError(
            f"{name}: {len(value)} values are more than the model's {MAX_VALUES}; give fewer."
        )
    if len({type(item) for item in value}) > 1:
        raise ConfigError(f"{name}: {value} mixes types; write all values of one type.")
    return ",".join(_spell(name, item) for item in value)


def _spell(name: str, value: Scalar) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ConfigError(f"{name}: {value!r} is no value of the model; write a number or text.")
    if isinstance(value, int):
        if abs(value) >= _INTEGER_LIMIT:
            raise ConfigError(f"{name}: {value} is too large for an integer; write {value}.0.")
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigError(f"{name}: {value!r} is not finite; write a number.")
        mantissa, exponent, power = repr(value).partition("e")
        return (mantissa if "." in mantissa else mantissa + ".0") + exponent + power
    if not value.isascii() or not value.isprintable() or any(c in value for c in "'\"!#"):
        raise ConfigError(
            f"{name}: {value!r} has a character that the model would misread "
            "(a quote, '!', '#', or not ASCII); leave it out."
        )
    if "/*" in value:
        raise ConfigError(f"{name}: {value!r} has '/*', which begins a comment; leave it out.")
    if len(value) > MAX_TEXT:
        raise ConfigError(
            f"{name}: the model cuts text at {MAX_TEXT} characters and this has {len(value)}; "
            "use a shorter path, for example a symbolic link."
        )
    return f"'{value.rstrip() or ' '}'"


def comment_aligned(old: str, new: str, tail: str) -> str:
    """``tail`` (blanks, comment, line end) moved so that its comment keeps its column if it can."""
    comment = tail.lstrip(" ")
    blanks = len(tail) - len(comment)
    if not comment.strip():
        return tail
    return " " * max(1, blanks + len(old) - len(new)) + comment
