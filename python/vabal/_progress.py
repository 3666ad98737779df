"""How long work tells of itself: a callback of the caller's, or a bar of tqdm's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias


class Progress(NamedTuple):
    """How far a phase has come: ``done`` of ``total`` units, and the loss where it has one."""

    phase: str
    """"vae", "difficulty", "prior", "score", …"""
    done: int
    total: int
    unit: str
    """What is counted: "step", "image"."""
    loss: float | None


Callback: TypeAlias = Callable[[Progress], object]
"""Called some twenty times a second and at the end of a phase. What it raises stops the work; its answer is ignored."""

Raw: TypeAlias = Callable[[str, int, int, str, "float | None"], object]


@contextlib.contextmanager
def telling(progress: bool | Callback | None) -> Iterator[Raw | None]:
    """What Rust is to call, for what the caller gave as ``progress=``."""
    if progress is None or progress is False:
        yield None
    elif progress is True:
        bars = _Bars()
        try:
            yield bars
        finally:
            bars.close()
    elif callable(progress):
        told = progress
        yield lambda *event: told(Progress(*event))
    else:
        raise TypeError(f"progress= is neither a callable nor True or False\n  got: {progress!r}")


class _Bars:
    """A bar of tqdm for each phase; nothing where tqdm is not installed."""

    def __init__(self) -> None:
        self.phase = ""
        self.bar: Any = None
        try:
            from tqdm.auto import tqdm
        except ImportError:
            self.make: Any = None
        else:
            self.make = tqdm

    def __call__(self, phase: str, done: int, total: int, unit: str, loss: float | None) -> None:
        if self.make is None:
            return
        if phase != self.phase:
            self.close()
            self.phase, self.bar = phase, self.make(total=total, desc=phase, unit=unit)
        self.bar.update(done - self.bar.n)
        if loss is not None:
            self.bar.set_postfix(loss=f"{loss:.3g}", refresh=False)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
