"""The names of the strategies and the settings of each, for editors and type checkers.

What the library itself says, ``vabal.strategies()``, is the truth; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Required, TypeAlias, TypedDict

from ._arrays import ArrayLike
from ._progress import Callback

Plain: TypeAlias = Literal[
    "random",
    "entropy",
    "margin",
    "least-confidence",
    "bald",
    "core-set",
    "badge",
    "galaxy",
]
"""Strategies without settings."""

Ensemble: TypeAlias = Literal["ensemble-variation-ratio", "ensemble-vote-entropy", "ensemble-mutual-information"]
Paper: TypeAlias = Literal["vabal-paper", "vabal-official"]

StrategyName: TypeAlias = (
    Plain
    | Ensemble
    | Paper
    | Literal[
        "power-bald",
        "batch-bald",
        "typiclust",
        "probcover",
        "similar",
        "learning-loss",
        "balanced-entropy",
        "vabal",
    ]
)
"""Every strategy."""


class Rows(TypedDict, total=False):
    """The arrays of a call that are given by keyword."""

    stages: Sequence[ArrayLike] | None
    predicted: ArrayLike | None
    mc_probs: ArrayLike | None
    committee_probs: ArrayLike | None
    ids: ArrayLike | None
    classes: int | Sequence[Any] | None


class AllRows(Rows, total=False):
    """All arrays of a call."""

    features: ArrayLike | None
    probs: ArrayLike | None
    labels: ArrayLike | None


class Call(Rows, total=False):
    """The keywords of :func:`vabal.select` that have nothing to do with the strategy."""

    n: Required[int]
    seed: int
    progress: bool | Callback | None


class PowerBald(Call, total=False):
    """Settings of "power-bald"."""

    beta: float


class BatchBald(Call, total=False):
    """Settings of "batch-bald"."""

    samples: int


class TypiClust(Call, total=False):
    """Settings of "typiclust"."""

    max_clusters: int
    min_cluster: int
    neighbours: int


class ProbCover(Call, total=False):
    """Settings of "probcover"."""

    purity: float
    radius: float


class Similar(Call, total=False):
    """Settings of "similar"."""

    eta: float
    rare: float


class LearningLoss(Call, total=False):
    """Settings of "learning-loss"."""

    batch: int
    learning_rate: float
    margin: float
    steps: int
    width: int


class OfEnsemble(Call, total=False):
    """Settings of the strategies that compare the members of an ensemble."""

    measure: Literal["variation-ratio", "vote-entropy", "mutual-information"]


class BalancedEntropy(Call, total=False):
    """Settings of "balanced-entropy"."""

    of: StrategyName


class Vabal(Call, total=False):
    """Settings of "vabal"."""

    model: Literal["gaussian", "vae"]
    prior_correction: float
    quotas: bool
    ridge: float


class VabalPaper(Call, total=False):
    """Settings of "vabal-paper" and "vabal-official"."""

    preset: Literal["paper", "official", "cross"]
    absence: Literal["square", "abs", "sigmoid"]
    adapter: Literal["sigmoid", "relu"]
    batch: int
    class_sum: Literal["predicted", "all"]
    decay: float
    decay_epoch: int
    difficulty: bool
    draws: int
    epochs: int
    hidden: Literal["plain", "normalised"]
    lambda_: float
    latents: int
    learning_rate: float
    likelihood: Literal["exp", "inverse", "energy", "none"]
    mask_in_training: bool
    minimum_steps: int
    prior: Literal["labelled", "unlabelled", "off"]
