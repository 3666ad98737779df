"""What the compiled half offers to the rest of the package; nothing here is for callers of it."""

from collections.abc import Callable, Sequence
from typing import final

import numpy as np
import numpy.typing as npt

__all__ = [
    "Answer",
    "Backbone",
    "Model",
    "Plan",
    "Pool",
    "Top",
    "__version__",
    "agreement",
    "check",
    "demo",
    "head_fit",
    "head_predict",
    "outlook",
    "sample_keys",
    "select",
    "strategies",
    "vabal_settings",
]

__version__: str

_Progress = Callable[[str, int, int, str, float | None], object] | None
_Array = npt.NDArray[np.float32] | npt.NDArray[np.int64] | Sequence[str | None]

@final
class Pool:
    def __new__(
        cls,
        arrays: Sequence[tuple[str, str, _Array]],
        classes: int | Sequence[str] | None = None,
        labelled: Sequence[tuple[str, str, _Array]] | None = None,
    ) -> Pool: ...
    @property
    def candidates(self) -> int: ...

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

@final
class Plan:
    @staticmethod
    def make(
        strategy: tuple[str, str],
        pool: Pool,
        n: int,
        sample: tuple[int, int | None],
        seed: int,
        progress: _Progress = None,
    ) -> tuple[Plan, list[str]]: ...
    def to_bytes(self) -> bytes: ...
    @staticmethod
    def from_bytes(bytes: bytes, place: str) -> Plan: ...
    @property
    def strategy(self) -> str: ...
    @property
    def settings(self) -> str: ...
    @property
    def n(self) -> int: ...
    @property
    def labelled(self) -> list[int]: ...
    @property
    def sampled(self) -> int: ...
    @property
    def digest(self) -> str: ...
    @property
    def needs(self) -> list[str]: ...
    @property
    def width(self) -> int | None: ...
    def scores(self, pool: Pool) -> bytes: ...

_Ids = tuple[bytes | None, list[str] | None]

@final
class Top:
    def __new__(cls, plan: Plan) -> Top: ...
    def push(self, pool: Pool) -> None: ...
    def add(
        self,
        ids: npt.NDArray[np.int64] | Sequence[str | None],
        scores: npt.NDArray[np.float64],
        whole_numbers: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]],
        terms: npt.NDArray[np.float64],
        term_names: list[str],
    ) -> None: ...
    def candidates(self) -> tuple[_Ids, bytes, bytes, bytes, bytes, bytes, list[str]]: ...
    @property
    def rows(self) -> int: ...
    def finish(self, n: int) -> tuple[_Ids, bytes, list[tuple[str, bool, bytes]]]: ...

@final
class Backbone:
    def __new__(cls, name: str, settings: str, side: int, library: str | None) -> Backbone: ...
    @property
    def spec(self) -> str: ...
    def features(
        self, images: list[npt.NDArray[np.uint8]], done: int = 0, total: int = 0, progress: _Progress = None
    ) -> bytes: ...

def select(strategy: str, settings: str, pool: Pool, n: int, seed: int, progress: _Progress = None) -> Answer: ...
def check(strategy: str, settings: str) -> None: ...
def vabal_settings(settings: str) -> str: ...
def strategies() -> list[tuple[str, list[str], list[str], bool, str]]: ...
def demo(test: bool) -> tuple[bytes, bytes]: ...
def head_fit(
    features: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    classes: int,
    l2: float | None,
    balanced: bool,
    seed: int,
    progress: _Progress = None,
) -> tuple[tuple[bytes, bytes], tuple[float, float, float | None, float | None, list[str]]]: ...
def head_predict(
    weights: npt.NDArray[np.float64],
    bias: npt.NDArray[np.float64],
    features: npt.NDArray[np.float32],
    probabilities: bool,
) -> bytes: ...
def sample_keys(pool: Pool, seed: int) -> bytes: ...
def agreement(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> float | None: ...
def outlook(
    trainings: Sequence[tuple[int, float | None, Sequence[tuple[int, int, bool]]]], more: int
) -> tuple[
    str, int, float | None, tuple[float | None, float, float] | None, list[tuple[float, float, float] | None]
]: ...
