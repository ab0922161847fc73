"""What a YAML scalar without quotes stands for: the core schema of YAML 1.2.2, section 10.3.2, less what JSON loses."""

import math
import re

_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS |= {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

_WHOLE = {10: re.compile(r"[-+]?[0-9]+"), 8: re.compile(r"0o[0-7]+"), 16: re.compile(r"0x[0-9a-fA-F]+")}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?")
"""Text in YAML 1.2, a date in 1.1: refused, so that nobody has to know."""

_BARE = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_./-]*")

_MAX_DIGITS = 30
"""Of a whole number: beyond the 20 of 64 bits, below what Python refuses to convert."""


class NotPlainError(ValueError):
    """A scalar that is neither text nor a number JSON can hold."""


def parse_scalar(text: str) -> str | int | float | bool | None:
    """The value of a scalar without quotes. Raises NotPlainError for dates, NaN, infinity and endless numbers."""
    if text in _WORDS:
        return _WORDS[text]
    for base, whole in _WHOLE.items():
        if whole.fullmatch(text):
            if len(text) > _MAX_DIGITS:
                raise NotPlainError(f"a whole number has at most {_MAX_DIGITS} digits")
            return int(text, base)
    if _NOT_FINITE.fullmatch(text):
        raise NotPlainError("a number must be finite")
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise NotPlainError("a number must be finite")
        return number
    if _DATE.fullmatch(text):
        raise NotPlainError("dates are not read")
    return text


def needs_quotes(text: str) -> bool:
    """Whether text must be quoted to be read back as itself, or might be."""
    try:
        return _BARE.fullmatch(text) is None or not isinstance(parse_scalar(text), str)
    except NotPlainError:
        return True
