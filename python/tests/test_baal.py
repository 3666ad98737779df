"""The shape of baal, in baal."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from conftest import NEED_LABELS, Known, few, few_of

import vabal
from vabal import compat


def test_baal(known: Known) -> None:
    heuristics = pytest.importorskip("baal.active.heuristics")
    rng = np.random.default_rng(0)
    logits = 3 * np.log(known.probs)[:, :, None] + rng.normal(size=(400, 3, 10))
    for predictions in (logits, _softmax(logits)):
        theirs, ours = heuristics.BALD(), compat.Heuristic("bald")
        np.testing.assert_allclose(ours.compute_score(predictions), theirs.get_uncertainties(predictions), atol=1e-5)
        ranks, scores = ours.get_ranks(predictions)
        assert scores.shape == (400,) and sorted(ranks) == list(range(400))
        assert (np.diff(scores[ranks]) <= 0).all()
        np.testing.assert_array_equal(ranks[:20], theirs.get_ranks(predictions)[0][:20])
        np.testing.assert_array_equal(ours.reorder_indices(scores), ours(predictions))
        assert ours.reversed
    parts = iter([logits[:150], logits[150:]])
    np.testing.assert_array_equal(compat.Heuristic("bald").get_ranks(parts)[0], compat.Heuristic("bald")(logits))
    np.testing.assert_allclose(
        compat.Heuristic("entropy").compute_score(_softmax(logits)),
        heuristics.Entropy().compute_score(_softmax(logits)),
        rtol=1e-4,
        atol=1e-6,
    )


def _softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_a_loop_of_baals(known: Known) -> None:
    active = pytest.importorskip("baal.active")
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.from_numpy(known.features), torch.from_numpy(known.truth))
    dataset = active.ActiveLearningDataset(data)
    dataset.label(list(range(60)))
    draws = np.repeat(known.probs[:, :, None], 5, axis=2) + np.random.default_rng(0).uniform(0, 1e-3, (400, 3, 5))
    draws = (draws / draws.sum(1, keepdims=True)).astype(np.float32)

    def predictions(pool: Any) -> Any:
        return draws[dataset._pool_to_oracle_index(list(range(len(pool))))]

    for strategy in ("bald", "batch-bald", "entropy", "random", "vabal", "vabal-paper"):

        def context() -> dict[str, Any]:
            return {"features": known.features[dataset._pool_to_oracle_index(list(range(len(dataset.pool))))]}

        more: dict[str, Any] = ({"context": context} if strategy.startswith("vabal") else {}) | few_of(strategy)
        heuristic = compat.Heuristic(strategy, num_samples=12, **more)
        loop = active.ActiveLearningLoop(dataset, predictions, heuristic, query_size=12)
        before = len(dataset)
        assert loop.step()
        assert len(dataset) == before + 12


def test_predictions_of_one_pass_and_of_the_wrong_shape(known: Known) -> None:
    entropy = compat.Heuristic("entropy")
    np.testing.assert_array_equal(entropy(known.probs)[:9], vabal.select("entropy", probs=known.probs, n=9).rows)
    with pytest.raises(ValueError, match="one class an image"):
        entropy(np.zeros((2, 3, 4, 5)))
    with pytest.raises(ValueError, match='did you mean "bald"'):
        compat.Heuristic("blad")  # type: ignore[arg-type]


EACH = pytest.mark.parametrize("strategy", vabal.strategies(), ids=lambda s: s.name)


def drawn(known: Known, draws: int = 8) -> Any:
    """Probabilities under dropout [n, C, T]."""
    return _softmax(3 * np.log(known.probs)[:, :, None] + np.random.default_rng(0).normal(size=(400, 3, draws)))


@EACH
def test_every_heuristic_ranks_all(strategy: vabal.Strategy, known: Known) -> None:
    def context() -> dict[str, Any]:
        return {"features": known.features} | ({"labels": known.labels} if strategy.name in NEED_LABELS else {})

    needs = (*strategy.needs, *strategy.needs_of_labelled)
    heuristic = compat.Heuristic(
        strategy.name, context=context if "features" in needs else None, num_samples=9, **few(strategy)
    )
    predictions = drawn(known)
    ranks, scores = heuristic.get_ranks(predictions)
    assert sorted(ranks) == list(range(400)) and scores.shape == (400,) and np.isfinite(scores).all()
    if strategy.name not in NEED_LABELS:
        assert (np.diff(scores[ranks]) <= 0).all()
    np.testing.assert_array_equal(heuristic(predictions), ranks)
    np.testing.assert_array_equal(heuristic.get_uncertainties(predictions), scores)
    np.testing.assert_array_equal(heuristic.compute_score(predictions), scores)
    parts = (predictions[start : start + 90] for start in range(0, 400, 90))
    np.testing.assert_array_equal(heuristic.get_uncertainties_generator(parts), scores)
    pickled = pickle.loads(pickle.dumps(compat.Heuristic(strategy.name, **few(strategy))))
    assert repr(pickled).startswith(f"Heuristic({strategy.name!r}")


def test_scores_are_those_of_baal(known: Known) -> None:
    heuristics, torch = pytest.importorskip("baal.active.heuristics"), pytest.importorskip("torch")
    logits = np.log(drawn(known)) - 3
    pairs = {
        "bald": heuristics.BALD(),
        "entropy": heuristics.Entropy(),
        "margin": heuristics.Margin(),
        "least-confidence": heuristics.Certainty(),
    }
    # Of logits of several passes baal averages the logits where it wants one prediction; here it is the probabilities.
    for predictions in (drawn(known), logits[:, :, :1], logits[:, :, 0], torch.from_numpy(drawn(known))):
        for name, theirs in pairs.items():
            if predictions.ndim == 2 and name == "bald":
                continue
            given = predictions.numpy() if isinstance(predictions, torch.Tensor) else predictions
            ranks = compat.Heuristic(name)(predictions)  # type: ignore[arg-type]
            if name != "bald" or predictions.shape[-1] > 1:
                np.testing.assert_array_equal(ranks[:20], theirs.get_ranks(given)[0][:20])
    np.testing.assert_allclose(
        compat.Heuristic("bald").compute_score(logits), pairs["bald"].compute_score(logits), atol=1e-6
    )


def test_one_column_is_the_probability_of_the_second_class(known: Known) -> None:
    heuristics = pytest.importorskip("baal.active.heuristics")
    second = np.random.default_rng(1).uniform(size=(50, 1, 6))
    both = np.concatenate([1 - second, second], axis=1)
    logits = np.log(second / (1 - second))
    for name in ("bald", "entropy", "margin", "random"):
        heuristic = compat.Heuristic(name)
        expected = heuristic.compute_score(both)
        np.testing.assert_allclose(heuristic.compute_score(second), expected, atol=1e-6)
        np.testing.assert_allclose(heuristic.compute_score(logits), expected, atol=1e-5)
        assert len(heuristic(second[:, :, 0])) == 50
    np.testing.assert_array_equal(compat.Heuristic("entropy")(both)[:9], heuristics.Entropy().get_ranks(both)[0][:9])


def test_nothing_to_order() -> None:
    with pytest.raises(ValueError, match="there is no prediction"):
        compat.Heuristic("bald").get_uncertainties_generator(iter([]))
    with pytest.raises(ValueError, match=r"expected: \[n\]"):
        compat.Heuristic("bald").reorder_indices(np.zeros((3, 2)))
    assert list(compat.Heuristic("bald").reorder_indices([np.array([1.0, 3.0]), np.array([2.0])])) == [1, 2, 0]
    with pytest.raises(TypeError, match="unknown setting"):
        compat.Heuristic("bald", drawz=3)


def test_combined_with_theirs(known: Known) -> None:
    heuristics = pytest.importorskip("baal.active.heuristics")
    predictions = drawn(known)
    ours = heuristics.CombineHeuristics([compat.Heuristic("bald"), compat.Heuristic("entropy")], weights=[0.7, 0.3])
    theirs = heuristics.CombineHeuristics([heuristics.BALD(), heuristics.Entropy()], weights=[0.7, 0.3])
    np.testing.assert_array_equal(ours([predictions] * 2)[:20], theirs([predictions] * 2)[:20])


def test_a_power_of_scores(known: Known) -> None:
    stochastics = pytest.importorskip("baal.active.heuristics.stochastics")
    sampled = stochastics.PowerSampling(compat.Heuristic("bald"), query_size=30, temperature=1.0)
    assert len(set(sampled.get_ranks(drawn(known))[0][:30])) == 30


def test_a_real_heuristic_of_theirs_whose_ranks_are_shuffled_in_part(known: Known) -> None:
    heuristics = pytest.importorskip("baal.active.heuristics")
    plain = compat.Heuristic("entropy")
    assert isinstance(plain, heuristics.AbstractHeuristic)
    ranks, scores = plain.get_ranks(known.probs)
    some = compat.Heuristic("entropy", shuffle_prop=0.3)
    mixed, same = some.get_ranks(known.probs)
    np.testing.assert_array_equal(same, scores)
    np.testing.assert_array_equal(some(known.probs), mixed)
    assert sorted(mixed) == list(range(400)) and 0 < (mixed != ranks).sum() <= 400 * 0.4
    for wrong in (-0.1, 1.5):
        with pytest.raises(ValueError, match="0 to 1"):
            compat.Heuristic("entropy", shuffle_prop=wrong)
