"""What the adapters of engines have in common: a worker's error reaches the caller whole."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

_KINDS: dict[str, type[Exception]] = {
    "ValueError": ValueError,
    "TypeError": TypeError,
    "FloatingPointError": FloatingPointError,
}
_OURS = re.compile(rf"({'|'.join(_KINDS)}): ([^\n]*(?:\n  (?:where|expected|got|hint): [^\n]*)+)")


@contextlib.contextmanager
def told(engine: str, install: str) -> Iterator[None]:
    """Raises what a worker raised, as it did; the engine's own error is its cause."""
    try:
        yield
    except Exception as error:
        if type(error) in _KINDS.values():
            raise
        text = "\n".join(map(str, (error, error.__cause__ or "")))
        if found := _OURS.search(text):
            raise _KINDS[found[1]](found[2]) from error
        if missing := re.search(r"No module named '((?:vabal|pyarrow|numpy|pandas)\b[\w.]*)'", text):
            raise ModuleNotFoundError(
                f"a worker of {engine} has no {missing[1]}\n  hint: {install}", name=missing[1]
            ) from error
        if re.search(r"float16|halffloat|half_float", text, re.IGNORECASE):
            raise TypeError(
                f"{engine} cannot read columns of FLOAT16\n  expected: lists of float, or BINARY\n  got: {_line(text)}"
                "\n  hint: store the bytes of float16 as BINARY: docs/scale.md"
            ) from error
        raise


def _line(text: str) -> str:
    """The line that says it."""
    return next(line.strip() for line in text.splitlines() if re.search("float16|half", line, re.IGNORECASE))[:200]
