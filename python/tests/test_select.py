"""What is chosen: against plain numpy, and what must not matter."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import FEW, NEED_LABELS, Known, few, pool

import vabal

ARRAYS_OF: dict[str, Callable[[Known], Any]] = {
    "features": lambda k: k.features,
    "probs": lambda k: k.probs,
    "predicted": lambda k: k.probs.argmax(1),
    "mc_probs": lambda k: np.stack([k.probs, np.roll(k.probs, 1, axis=1)], axis=1),
    "committee_probs": lambda k: np.stack([k.probs, np.roll(k.probs, 1, axis=1), k.probs], axis=1),
}


def arrays_for(strategy: vabal.Strategy, known: Known) -> dict[str, Any]:
    names = (*strategy.needs, *strategy.needs_of_labelled)
    given = {name: ARRAYS_OF[name](known) for name in names} or {"ids": np.arange(len(known.labels))}
    return given | {"classes": known.probs.shape[1]}


def entropy(probs: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    p = probs.astype(np.float64)
    return np.asarray(-(p * np.log(p)).sum(1))


def test_entropy_is_numpys(known: Known) -> None:
    chosen = vabal.select("entropy", probs=known.probs, labels=known.labels, n=20)
    scores = np.where(known.labels < 0, entropy(known.probs), -np.inf)
    np.testing.assert_array_equal(chosen.ids, np.argsort(-scores, kind="stable")[:20])
    np.testing.assert_allclose(chosen.scores, np.sort(scores)[::-1][:20], rtol=1e-5)
    np.testing.assert_array_equal(chosen.terms["predicted"], known.probs.argmax(1)[chosen.ids])
    assert chosen.health is None and chosen.model is None
    assert len(chosen) == 20 and list(chosen) == chosen.ids.tolist()


def test_margin_is_numpys(known: Known) -> None:
    chosen = vabal.select("margin", probs=known.probs, labels=known.labels, n=7)
    top = np.sort(known.probs.astype(np.float64), axis=1)
    scores = np.where(known.labels < 0, top[:, -2] - top[:, -1], -np.inf)
    assert set(chosen.ids) == set(np.argsort(-scores)[:7])


@pytest.mark.parametrize("strategy", vabal.strategies(), ids=lambda s: s.name)
def test_every_strategy_chooses_candidates_once_and_repeats_itself(strategy: vabal.Strategy, known: Known) -> None:
    arrays, settings = arrays_for(strategy, known), few(strategy)
    first = vabal.select(strategy.name, **arrays, labels=known.labels, n=15, seed=3, **settings)
    assert len(set(first.ids)) == 15
    assert (known.labels[first.ids] == -1).all()
    assert np.isfinite(first.scores).all() and (np.diff(first.scores) <= 0).all()
    again = vabal.select(strategy.name, **arrays, labels=known.labels, n=15, seed=3, **settings)
    np.testing.assert_array_equal(first.ids, again.ids)
    np.testing.assert_array_equal(first.scores, again.scores)


@pytest.mark.parametrize("strategy", vabal.strategies(), ids=lambda s: s.name)
def test_neither_the_order_of_the_rows_nor_gathering_matters(strategy: vabal.Strategy, known: Known) -> None:
    arrays, settings = arrays_for(strategy, known), few(strategy)
    # As listed, the candidates are one block and read where they lie; shuffled, they are gathered.
    block = vabal.select(strategy.name, **arrays, labels=known.labels, n=15, **settings)
    order = np.random.default_rng(0).permutation(len(known.labels))
    shuffled: dict[str, Any] = {
        name: value[order] if isinstance(value, np.ndarray) else value for name, value in arrays.items()
    } | {"ids": order}
    gathered = vabal.select(strategy.name, **shuffled, labels=known.labels[order], n=15, **settings)
    np.testing.assert_array_equal(block.ids, gathered.ids)
    np.testing.assert_array_equal(order[gathered.rows], gathered.ids)
    np.testing.assert_allclose(block.scores, gathered.scores, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("strategy", vabal.strategies(), ids=lambda s: s.name)
def test_a_cold_start_and_the_ends_of_the_pool(strategy: vabal.Strategy, known: Known) -> None:
    arrays, settings = arrays_for(strategy, known), few(strategy)
    if strategy.name in NEED_LABELS:
        with pytest.raises(ValueError, match="choose the first images with"):
            vabal.select(strategy.name, **arrays, n=10, **settings)
    else:
        with pytest.warns(vabal.VabalWarning, match="400 are left"):
            everything = vabal.select(strategy.name, **arrays, n=1000, **settings)
        assert sorted(everything.ids) == list(range(400))
    nothing = vabal.select(strategy.name, **arrays, labels=known.labels, n=0, **settings)
    assert len(nothing) == 0 and all(len(term) == 0 for term in nothing.terms.values())
    none_left = np.zeros(400, dtype=int)
    with pytest.warns(vabal.VabalWarning):
        assert len(vabal.select(strategy.name, **arrays, labels=none_left, n=3, **settings)) == 0


def test_vabal_says_why_and_how_it_is() -> None:
    known = pool(n=900, labelled=90)
    of: dict[str, Any] = {"features": known.features, "probs": known.probs, "labels": known.labels, "n": 90}
    chosen = vabal.select("vabal", **of)
    assert chosen.terms.keys() == {"predicted", "corrected", "class", "support", "labelled"}
    np.testing.assert_allclose(chosen.scores, 1 - chosen.terms["corrected"] * chosen.terms["support"])
    chosen = vabal.select("vabal-paper", **of, preset="cross", draws=20, lambda_=0.5)
    assert chosen.terms.keys() == {"predicted", "vae-predicted", "energy"}
    assert chosen.health is not None and chosen.health.warning is None
    assert chosen.health.difficulty.shape == chosen.health.prior.shape == (3,)
    assert chosen.model is not None and chosen.model.fitted


def test_vabal_begins_without_labels_and_predictions(known: Known) -> None:
    with pytest.warns(vabal.VabalWarning, match="typiclust chooses the first images"):
        first = vabal.select("vabal", known.features, classes=3, n=9)
    np.testing.assert_array_equal(first.ids, vabal.select("typiclust", known.features, classes=3, n=9).ids)
    with pytest.raises(TypeError, match="probs"):
        vabal.select("vabal", known.features, labels=known.labels, n=9)


def test_seeds_differ(known: Known) -> None:
    def of(seed: int) -> list[int]:
        return list(vabal.select("random", labels=known.labels, n=50, seed=seed).ids)

    assert of(0) == of(0) != of(1)
    assert of(2**64 - 1) != of(2**63)


def test_missing_labels_in_every_spelling(known: Known) -> None:
    expected = vabal.select("entropy", probs=known.probs, labels=known.labels, n=5).ids
    lists: list[Any] = [None if label < 0 else int(label) for label in known.labels]
    for labels in (
        known.labels.astype(np.int32),
        known.labels.astype(np.float32),
        np.where(known.labels < 0, np.nan, known.labels),
        lists,
        np.array(lists, dtype=object),
        np.where(known.labels < 0, -100, known.labels),
        known.labels[:, None],
    ):
        np.testing.assert_array_equal(vabal.select("entropy", probs=known.probs, labels=labels, n=5).ids, expected)


def test_names_of_classes(known: Known) -> None:
    names = ["cat", "dog", "axolotl"]
    spelt = [names[label] if label >= 0 else None for label in known.labels]
    of: dict[str, Any] = {"features": known.features, "n": 9} | FEW
    by_number = vabal.select("vabal-paper", probs=known.probs, labels=known.labels, **of)
    by_name = vabal.select("vabal-paper", probs=known.probs, labels=spelt, classes=names, **of)
    np.testing.assert_array_equal(by_number.ids, by_name.ids)
    predicted = [names[label] for label in known.probs.argmax(1)]
    by_predicted = vabal.select("vabal-paper", predicted=predicted, labels=spelt, classes=names, **of)
    np.testing.assert_array_equal(by_number.ids, by_predicted.ids)
    with pytest.raises(ValueError, match=r"labels=, row 0\n  expected: 'cat', 'dog', 'axolotl'\n  got: 'cow'"):
        vabal.select("entropy", probs=known.probs, labels=["cow"] * 400, classes=names, n=1)


def test_ids_of_any_kind(known: Known) -> None:
    rows = vabal.select("margin", probs=known.probs, n=9).rows
    for ids in (
        [f"img/{row:03}.png" for row in range(400)],
        np.arange(400, dtype=np.int16) + 7,
        np.arange(400) - 200,
        np.arange(400, dtype=np.uint64) * 2**55,
    ):
        chosen = vabal.select("margin", probs=known.probs, ids=ids, n=9)
        np.testing.assert_array_equal(chosen.rows, rows)
        np.testing.assert_array_equal(chosen.ids, np.asarray(ids)[rows])
    with pytest.raises(ValueError, match="duplicate id\n  where: ids=, rows 1 and 2(.|\n)*got: b"):
        vabal.select("random", ids=["a", "b", "b"], n=1)
    with pytest.raises(TypeError, match="whole numbers or texts"):
        vabal.select("random", ids=[0.5, 1.5], n=1)


def test_equal_scores_go_by_the_lowest_id() -> None:
    same = np.full((6, 2), 0.5, dtype=np.float32)
    assert vabal.select("entropy", probs=same, n=3).ids.tolist() == [0, 1, 2]
    assert vabal.select("entropy", probs=same, ids=[5, 4, 3, 2, 1, 0], n=3).ids.tolist() == [0, 1, 2]
    # Texts go by their hashes, which are the same in whatever pool they are.
    names = list("fedcba")
    hashed = sorted(names, key=lambda name: int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") >> 1)
    assert vabal.select("entropy", probs=same, ids=names, n=3).ids.tolist() == hashed[:3]


def test_duplicate_rows_are_two_images() -> None:
    known = pool(n=80, labelled=10)
    features, probs = np.tile(known.features, (2, 1)), np.tile(known.probs, (2, 1))
    chosen = vabal.select("vabal-paper", features, probs, np.tile(known.labels, 2), n=140, **FEW)
    assert len(set(chosen.ids)) == 140 and np.isfinite(chosen.scores).all()


def test_one_candidate_a_thousand_classes_and_a_missing_class() -> None:
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(1000, 0.1), size=50).astype(np.float32)
    labels = np.where(np.arange(50) < 49, np.arange(50), -1)
    for strategy in ("entropy", "margin", "least-confidence", "balanced-entropy", "vabal-paper", "vabal"):
        settings: dict[str, Any] = {"epochs": 1, "draws": 2} if strategy == "vabal-paper" else {}
        with pytest.warns(vabal.VabalWarning) if strategy == "vabal-paper" else _nothing():
            chosen = vabal.select(strategy, rng.normal(size=(50, 4)), probs, labels, n=1, **settings)
        assert chosen.ids.tolist() == [49]


def _nothing() -> Any:
    import contextlib

    return contextlib.nullcontext()


def test_stages_are_features_side_by_side(known: Known) -> None:
    of: dict[str, Any] = {"probs": known.probs, "labels": known.labels, "n": 5} | FEW
    one = vabal.select("vabal-paper", features=known.features, **of)
    np.testing.assert_array_equal(vabal.select("vabal-paper", stages=[known.features], **of).ids, one.ids)
    two = vabal.select("vabal-paper", stages=[known.features[:, :5], known.features], **of)
    assert two.model is not None and "widths [5, 12]" in repr(two.model)


def test_settings_are_keywords(known: Known) -> None:
    of: dict[str, Any] = {"features": known.features, "probs": known.probs, "labels": known.labels, "n": 3}
    chosen = vabal.select("vabal-paper", **of, preset="paper", epochs=np.int64(1), draws=2, lambda_=1)  # type: ignore[call-overload]
    assert chosen.model is not None
    assert chosen.model.settings["likelihood"] == "exp" and chosen.model.settings["lambda"] == 1.0
    with pytest.raises(
        TypeError, match='unknown setting\n  where: drawz=, of vabal-paper\n(.|\n)*hint: did you mean "draws"'
    ):
        vabal.select("vabal-paper", **of, drawz=2)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="where: draws=, of entropy\n  expected: no key here"):
        vabal.select("entropy", probs=known.probs, n=1, draws=2)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="out of range\n  where: draws\n  expected: 1 to 100000\n  got: 0"):
        vabal.select("vabal-paper", **of, draws=0)
    for value in (2.5, "many", None, [1], True):
        with pytest.raises(ValueError, match="where: draws=\n  expected: a whole number, such as 100"):
            vabal.select("vabal-paper", **of, draws=value)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="where: absence=\n  expected: .*square"):
        vabal.select("vabal-paper", **of, absence="cubed")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="where: preset=\n  expected: paper, official, cross"):
        vabal.select("vabal-paper", **of, preset="best")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="a type that is not understood"):
        vabal.select("vabal-paper", **of, draws=object())  # type: ignore[call-overload]
    for name in ("kind", "preset"):
        with pytest.raises(TypeError, match="unknown setting"):
            setting: dict[str, Any] = {name: "paper"}
            vabal.select("bald", n=1, mc_probs=np.full((4, 2, 2), 0.5), **setting)


def test_errors_name_the_keyword(known: Known) -> None:
    with pytest.raises(ValueError, match='unknown strategy\n(.|\n)*did you mean "entropy"'):
        vabal.select("entorpy", probs=known.probs, n=1)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"arrays are missing\n  expected: features \[n, d\].*; probs .* or predicted"):
        vabal.select("vabal", labels=known.labels, n=1)
    with pytest.raises(TypeError, match="an array is missing\n  expected: ids"):
        vabal.select("random", n=1)
    with pytest.raises(TypeError, match="say the same"):
        vabal.select("random", known.features, stages=[known.features], n=1)
    with pytest.raises(
        ValueError, match="disagree(.|\n)*where: labels=\n  expected: 400 rows, as probs= has\n  got: 9"
    ):
        vabal.select("entropy", probs=known.probs, labels=[0] * 9, n=1)
    with pytest.raises(
        ValueError, match=r"unexpected array shape\n  where: features=\n  expected: \[n, d\].*\n  got: \[400\]"
    ):
        vabal.select("vabal-paper", known.truth, known.probs, n=1)
    with pytest.raises(TypeError, match="probs= holds <U1, not numbers"):
        vabal.select("entropy", probs=[["a", "b"]], n=1)
    with pytest.raises(ValueError, match="labels=, row 3\n  expected: 0 to 2, for 3 classes\n  got: 3"):
        vabal.select("entropy", probs=known.probs, labels=np.where(np.arange(400) == 3, 3, -1), n=1)
    with pytest.raises(ValueError, match="no whole number\n  where: labels=, row 0"):
        vabal.select("entropy", probs=known.probs, labels=np.full(400, 0.5), n=1)
    with pytest.raises(
        ValueError, match="no class that is known\n  where: labels=, row 0\n(.|\n)*what they are called"
    ):
        vabal.select("entropy", probs=known.probs, labels=["a"] * 400, n=1)
    with pytest.raises(TypeError, match="names of the classes"):
        vabal.select("entropy", probs=known.probs, labels=[b"a"] * 400, n=1)
    with pytest.raises(ValueError, match="0 to (.|\n)*got: -1"):
        vabal.select("entropy", probs=known.probs, n=-1)
    with pytest.raises(TypeError, match="n= is no whole number"):
        vabal.select("entropy", probs=known.probs, n=2.5)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="seed= is out of range"):
        vabal.select("entropy", probs=known.probs, n=1, seed=-1)
    with pytest.raises(ValueError, match=r"where: probs=\n  expected: \[n, C\], C of 2"):
        vabal.select("entropy", probs=known.probs[:, :1], n=1)
    with pytest.raises(ValueError, match="candidate without a predicted class\n  where: predicted=, row 60"):
        vabal.select("vabal-paper", known.features, predicted=known.labels, labels=known.labels, n=1)
    with pytest.raises(ValueError, match="number of classes"):
        vabal.select("entropy", probs=known.probs, classes=5, n=1)


def test_values_that_are_wrong_are_named_by_their_row(known: Known) -> None:
    broken = known.features.copy()
    broken[100, 3] = np.nan
    with pytest.raises(ValueError, match="a feature is not finite\n  where: features=, row 100, id 100.png"):
        ids = [f"{row}.png" for row in range(400)]
        vabal.select("vabal-paper", broken, known.probs, known.labels, ids=ids, n=1, **FEW)
    huge = known.features.astype(np.float64)
    huge[100, 3] = 1e300  # beyond float32
    with pytest.raises(ValueError, match="a feature is not finite\n  where: features=, row 100"):
        vabal.select("vabal-paper", huge, known.probs, known.labels, n=1, **FEW)
    with pytest.raises(ValueError, match="not logits"):
        vabal.select("entropy", probs=known.probs * 5, n=1)
    with pytest.raises(ValueError, match="do not sum to 1\n  where: probs=, row 0"):
        vabal.select("entropy", probs=known.probs / 2, n=1)


def test_strategies_say_what_they_need() -> None:
    by_name = {strategy.name: strategy for strategy in vabal.strategies()}
    assert by_name["random"].needs == () and by_name["entropy"].needs == ("probs",)
    assert by_name["vabal"].needs_of_labelled == ("features",)
    assert by_name["batch-bald"].is_batch and by_name["bald"].needs == ("mc_probs",)
    assert by_name["vabal"].settings["ridge"] == 0.1 and by_name["vabal-paper"].settings["likelihood"] == "exp"


def test_the_demo_is_whole() -> None:
    images, labels, classes = vabal.demo()
    assert images.dtype == np.uint8 and (np.bincount(labels) == 600).all() and len(classes) == 10
    assert images.flags.writeable
    test = vabal.demo("test")
    assert test.images.shape == (1000, 1, 28, 28) and (np.bincount(test.labels) == 100).all()
    with pytest.raises(ValueError, match="'train'"):
        vabal.demo("train")  # type: ignore[arg-type]
