"""What the compiled half offers to the rest of the package; nothing here is for callers of it."""

from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

__all__ = ["Answer", "Model", "Pool", "__version__", "demo", "select", "strategies", "vabal_settings"]

__version__: str

_Progress = Callable[[str, int, int, str, float | None], object] | None
_Reals = npt.NDArray[np.float32]
_Integers = npt.NDArray[np.int64]

@final
class Pool:
    def __new__(
        cls,
        rows: int,
        *,
        ids: _Integers | None = None,
        labels: _Integers | None = None,
        classes: int | None = None,
        stages: Sequence[_Reals] | None = None,
        probs: npt.NDArray[Any] | None = None,
        predicted: _Integers | None = None,
        mc_probs: npt.NDArray[Any] | None = None,
        committee_probs: npt.NDArray[Any] | None = None,
        images: npt.NDArray[Any] | None = None,
    ) -> Pool: ...
    @property
    def candidates(self) -> int: ...
    @property
    def classes(self) -> int: ...

@final
class Answer:
    @property
    def rows(self) -> bytes: ...
    @property
    def scores(self) -> bytes: ...
    @property
    def terms(self) -> list[tuple[str, bytes]]: ...
    @property
    def health(self) -> str | None: ...
    @property
    def model(self) -> bytes | None: ...
    @property
    def warnings(self) -> list[str]: ...

@final
class Model:
    @staticmethod
    def fit(settings: str, pool: Pool, seed: int, progress: _Progress = None) -> tuple[Model, list[str]]: ...
    def select(self, pool: Pool, n: int, seed: int, progress: _Progress = None) -> Answer: ...
    def save(self, path: str) -> None: ...
    @staticmethod
    def load(path: str) -> Model: ...
    def to_bytes(self) -> bytes: ...
    @staticmethod
    def from_bytes(bytes: bytes) -> Model: ...
    @property
    def settings(self) -> str: ...
    @property
    def classes(self) -> int: ...
    @property
    def widths(self) -> list[int]: ...

def select(strategy: str, settings: str, pool: Pool, n: int, seed: int, progress: _Progress = None) -> Answer: ...
def vabal_settings(settings: str) -> str: ...
def strategies() -> list[tuple[str, list[str], list[str], bool, str]]: ...
def demo(test: bool) -> tuple[bytes, bytes]: ...
