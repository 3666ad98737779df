"""The model by itself: the same answer in two steps, and kept in every way."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FEW, Known

import vabal


@pytest.fixture
def arrays(known: Known) -> dict[str, Any]:
    return {"features": known.features, "probs": known.probs, "labels": known.labels}


def test_two_steps_are_one(arrays: dict[str, Any]) -> None:
    at_once = vabal.select("vabal-paper", **arrays, n=12, seed=4, **FEW)
    model = vabal.VaBAL(**FEW).fit(**arrays, seed=4)
    assert model.health is None
    in_two = model.select(**arrays, n=12, seed=4)
    np.testing.assert_array_equal(at_once.ids, in_two.ids)
    np.testing.assert_array_equal(at_once.scores, in_two.scores)
    assert model.health is in_two.health and model.health is not None and at_once.health is not None
    np.testing.assert_array_equal(at_once.health.prior, model.health.prior)

    scores = model.score(**arrays, seed=4)
    assert np.isnan(scores[arrays["labels"] >= 0]).all()
    np.testing.assert_array_equal(scores[in_two.rows], in_two.scores)
    assert np.nanmax(scores) == in_two.scores[0]
    assert at_once.model is not None
    np.testing.assert_array_equal(at_once.model.score(**arrays, seed=4), scores)


def test_a_model_is_kept_in_every_way(arrays: dict[str, Any], tmp_path: Path) -> None:
    model = vabal.VaBAL(**FEW | {"preset": "paper"}).fit(**arrays)
    expected = model.score(**arrays)
    model.save(tmp_path / "model.safetensors")
    kept = [
        vabal.VaBAL.load(tmp_path / "model.safetensors"),
        vabal.VaBAL.load(str(tmp_path / "model.safetensors")),
        vabal.VaBAL.from_bytes(model.to_bytes()),
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
    ]
    for other in kept:
        assert repr(other) == repr(model) and other.settings == model.settings
        np.testing.assert_array_equal(other.score(**arrays), expected)
    unpickled = kept[3]
    assert unpickled.health is not None and model.health is not None
    empty = pickle.loads(pickle.dumps(vabal.VaBAL(draws=3)))
    assert not empty.fitted and empty.settings["draws"] == 3
    chosen = vabal.select("vabal-paper", **arrays, n=3, **FEW)
    again = pickle.loads(pickle.dumps(chosen))
    np.testing.assert_array_equal(again.ids, chosen.ids)


def test_errors(arrays: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(TypeError, match='did you mean "draws"'):
        vabal.VaBAL(draw=1)
    with pytest.raises(RuntimeError, match="not fitted yet"):
        vabal.VaBAL().score(**arrays)
    with pytest.raises(TypeError, match=r"expected: features \[n, d\]"):
        vabal.VaBAL().fit(probs=arrays["probs"])
    model = vabal.VaBAL(**FEW).fit(**arrays)
    with pytest.raises(ValueError, match="other widths(.|\n)*12"):
        model.score(arrays["features"][:, :5], arrays["probs"])
    with pytest.raises(FileNotFoundError) as missing:
        vabal.VaBAL.load(tmp_path / "nowhere")
    assert missing.value.filename == str(tmp_path / "nowhere")
    (tmp_path / "torn").write_bytes(model.to_bytes()[:500])
    with pytest.raises(OSError, match="cannot"):
        model.save(tmp_path / "torn" / "model")
    with pytest.raises(ValueError, match="invalid VAE file"):
        vabal.VaBAL.load(tmp_path / "torn")
    with pytest.raises(ValueError, match="invalid VAE file\n  where: bytes in memory"):
        vabal.VaBAL.from_bytes(b"nothing")
    with pytest.raises(FloatingPointError, match="diverged"):
        vabal.VaBAL(learning_rate=1e30, epochs=3).fit(**arrays)
    with pytest.raises(ValueError, match="unlabelled pool is empty"):
        vabal.VaBAL().fit(arrays["features"], arrays["probs"], np.zeros(400))


def test_repr() -> None:
    model = vabal.VaBAL(draws=7, absence="abs", lambda_=1)
    assert repr(model) == "VaBAL(absence='abs', draws=7, lambda_=1.0), not fitted"
    assert vabal.VaBAL(**model.settings).settings == model.settings


def test_an_estimator_of_scikit_learns(arrays: dict[str, Any]) -> None:
    base, validation = pytest.importorskip("sklearn.base"), pytest.importorskip("sklearn.utils.validation")
    exceptions = pytest.importorskip("sklearn.exceptions")
    model = vabal.VaBAL(**FEW, lambda_=0.5)
    assert model.get_params() == FEW | {"lambda_": 0.5}
    model.fit(**arrays)
    validation.check_is_fitted(model)
    copied = base.clone(model)
    assert not copied.fitted and copied.settings == model.settings and copied.get_params() == model.get_params()
    with pytest.raises(exceptions.NotFittedError):
        validation.check_is_fitted(copied)
    copied.set_params(lambda_=0.25, draws=4)
    assert copied.settings["lambda"] == 0.25 and copied.get_params()["draws"] == 4
    for wrong in ({"drawz": 1}, {"draws": 0}, {"preset": "best"}):
        with pytest.raises(ValueError):
            copied.set_params(**wrong)
    assert copied.settings["draws"] == 4 and model.settings["lambda"] == 0.5
    scores = copied.set_params(**model.get_params()).fit(**arrays).score(**arrays)
    np.testing.assert_array_equal(scores, model.score(**arrays))
