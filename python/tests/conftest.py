"""Pools that the tests share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import vabal

FEW: dict[str, Any] = {"preset": "cross", "minimum_steps": 200, "epochs": 1, "draws": 8}
"""Settings with which the VAE of "vabal-paper" takes a blink."""


NEED_LABELS = {"learning-loss"}
"""Strategies that learn from the labelled pool and say so where there is none."""


def few(strategy: vabal.Strategy) -> dict[str, Any]:
    """Settings with which a strategy takes a blink."""
    light: dict[str, dict[str, Any]] = {
        "learning-loss": {"steps": 10, "width": 4},
        "batch-bald": {"samples": 50},
    }
    return FEW if "absence" in strategy.settings else light.get(strategy.name, {})


@dataclass(frozen=True)
class Known:
    """Images of three classes, of which the last is rare, as a classifier sees them."""

    features: npt.NDArray[np.float32]
    probs: npt.NDArray[np.float32]
    truth: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    """Of the first 60 rows; −1 beyond."""


def pool(n: int = 400, d: int = 12, classes: int = 3, labelled: int = 60, seed: int = 5) -> Known:
    rng = np.random.default_rng(seed)
    chances = 0.5 ** np.arange(classes)
    truth = rng.choice(classes, size=n, p=chances / chances.sum())
    truth[:classes] = np.arange(classes)
    features = 1.5 * np.eye(classes, d)[truth] + 0.4 * rng.normal(size=(n, d))
    logits = 3 * features[:, :classes] + 0.3 * rng.normal(size=(n, classes))
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.where(np.arange(n) < labelled, truth, -1)
    return Known(features.astype(np.float32), probs.astype(np.float32), truth, labels)


@pytest.fixture
def known() -> Known:
    return pool()


SOME: tuple[vabal.StrategyName, ...] = ("vabal", "vabal-paper", "entropy", "balanced-entropy", "random")
"""Strategies of each kind."""


def few_of(name: vabal.StrategyName) -> dict[str, Any]:
    """Settings with which the strategy of a name takes a blink."""
    return next(few(strategy) for strategy in vabal.strategies() if strategy.name == name)
