"""When to stop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vabal

TRUTH = np.arange(200) % 2


def said(right: float, seed: int = 0) -> Any:
    """Predictions of which a share is right."""
    return np.where(np.random.default_rng(seed).random(200) < right, TRUTH, 1 - TRUTH)


def test_models_that_agree_stop() -> None:
    pool = np.random.default_rng(1).integers(0, 2, 5000)
    rounds = [vabal.Training(n, TRUTH, said(0.9), pool) for n in (20, 40, 60, 80)]
    found = vabal.outlook(rounds)
    assert (found.stop, found.reason, found.agreement) == (True, "stable", (None, 1.0, 1.0, 1.0))
    assert found.accuracy is not None and found.accuracy.low < found.accuracy.value < found.accuracy.high
    assert vabal.outlook(rounds[:3]).reason == "early"
    # Every field by its name, as a tuple, and the labels themselves.
    labels = np.where(np.arange(300) < 80, np.arange(300) % 2, -1)
    mixed = [rounds[0]._asdict(), tuple(rounds[1]), rounds[2], vabal.Training(labels, TRUTH, said(0.9), pool)]
    assert vabal.outlook(mixed) == found
    few = [*rounds[:3], vabal.Training(80, TRUTH[:6], said(0.9)[:6], pool)]
    assert vabal.outlook(few).reason == "unmeasured"


def test_a_curve_that_rises_goes_on_and_a_flat_one_stops() -> None:
    rounds = [(n, TRUTH, said(right, n)) for n, right in ((20, 0.55), (40, 0.7), (80, 0.8), (160, 0.95))]
    found = vabal.outlook(rounds)
    assert (found.stop, found.reason) == (False, "go on") and found.gain is not None and found.gain > 0.01
    assert found.agreement == (None,) * 4 and str(found) == "more labels still help"
    same = said(0.8)
    flat = vabal.outlook([(n, TRUTH, same) for n in (200, 400, 600, 800)])
    assert (flat.stop, flat.reason, flat.gain) == (True, "flat", 0.0)


def test_classes_with_names_and_one_that_was_never_seen() -> None:
    names = np.array(["bee", "cat"])
    rounds = [(n, names[TRUTH], names[said(0.9)], names[TRUTH]) for n in (20, 40, 60, 80)]
    found = vabal.outlook(rounds)
    assert found.stop and list(found.recall) == ["bee", "cat"]
    more = vabal.outlook(rounds, classes=["bee", "cat", "dog"])
    assert more.reason == "unmeasured" and more.recall["dog"] is None
    assert more.accuracy is not None and np.isnan(more.accuracy.value)
    with pytest.raises(ValueError, match="not known\n  where: history=, training 0, truth\n  got: 'bee'"):
        vabal.outlook(rounds, classes=["cat", "dog"])


def test_wrong_histories() -> None:
    with pytest.raises(ValueError, match="other lengths\n  where: history=, training 0"):
        vabal.outlook([(20, TRUTH, TRUTH[:-1])])
    with pytest.raises(ValueError, match="another shape"):
        vabal.outlook([(20, TRUTH[:, None], TRUTH)])
    with pytest.raises(TypeError, match="labels= is no whole number"):
        vabal.outlook([(20.5, TRUTH, TRUTH)])
    empty = vabal.outlook([])
    assert (empty.stop, empty.reason, empty.accuracy, empty.recall) == (False, "early", None, {})
