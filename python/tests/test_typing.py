"""What editors and type checkers are told is what the library takes; what the package offers besides."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args, get_overloads, get_type_hints

import numpy as np
import pytest
from conftest import Known

import vabal
from vabal import _settings


def typed() -> dict[str, Any]:
    """The settings that select takes, by strategy."""
    found = {}
    for one in get_overloads(vabal.select):
        hints = get_type_hints(one, include_extras=True)
        (settings,) = get_args(hints["rest"])  # of Unpack
        for name in get_args(hints["strategy"]):
            assert name not in found
            found[name] = settings
    return found


def names(alias: Any) -> list[str]:
    """The texts of a union of Literals."""
    return [text for part in get_args(alias) for text in ([part] if isinstance(part, str) else names(part))]


def test_every_strategy_and_every_setting_has_its_type() -> None:
    told = typed()
    assert told.keys() == {strategy.name for strategy in vabal.strategies()}
    assert sorted(names(vabal.StrategyName)) == sorted(told)
    for strategy in vabal.strategies():
        hints = get_type_hints(told[strategy.name])
        own = {name: hint for name, hint in hints.items() if name not in _settings.Call.__annotations__}
        wanted = {"lambda_" if name == "lambda" else name for name in strategy.settings}
        assert own.keys() - {"preset"} == wanted and ("preset" in own) == ("absence" in wanted)
        for name, default in strategy.settings.items():
            hint = own["lambda_" if name == "lambda" else name]
            if isinstance(default, str):
                assert default in names(hint)
            else:
                assert type(default) is hint


def test_choices_are_those_that_the_library_names() -> None:
    for strategy, settings in typed().items():
        for name, hint in get_type_hints(settings).items():
            if name in _settings.Call.__annotations__ or not (choices := names(hint)):
                continue
            with pytest.raises(ValueError, match="expected: ") as refused:
                given: dict[str, Any] = {name: "nonsense"}
                vabal.select(strategy, n=0, **given)  # type: ignore[call-overload]
            text = str(refused.value).split("expected: ")[1].split("\n")[0]
            assert sorted(text.replace(" or ", ", ").split(", ")) == sorted(choices)


def test_the_type_checker_refuses_what_is_misspelt(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "right.py").write_text(
        "import vabal\n"
        "def of(name: vabal.StrategyName) -> vabal.Selection:\n"
        "    vabal.select('vabal', [[1.0]], ridge=0.5, n=1)\n"
        "    vabal.select('vabal-paper', lambda_=0.5, preset='cross', n=1)\n"
        "    vabal.compat.PoolQuery(name)\n"
        "    return vabal.select(name, [[1.0]], n=1)\n"
    )
    wrong = [
        "'vabel', n=1",
        "'vabal', rigde=0.5, n=1",
        "'vabal', ridge='0.5', n=1",
        "'entropy', ridge=1.0, n=1",
        "'margin'",
    ]
    (tmp_path / "wrong.py").write_text("import vabal\n" + "".join(f"vabal.select({call})\n" for call in wrong))
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--follow-imports=silent"]
    checked = subprocess.run([*command, "right.py", "wrong.py"], cwd=tmp_path, capture_output=True, text=True)
    lines = {line.split(": ")[0] for line in checked.stdout.splitlines() if ": error: " in line}
    assert lines == {f"wrong.py:{2 + place}" for place in range(len(wrong))}, checked.stdout


def test_modules_are_attributes_and_nothing_is_imported_before_it_is_used(tmp_path: Path) -> None:
    code = """
import sys, vabal
assert "vabal.compat" in dir(vabal) or "compat" in dir(vabal)
loaded = set(sys.modules)
assert not {"vabal.compat", "torch", "sklearn", "skactiveml", "pandas"} & loaded
vabal.compat.modal_query("vabal"), vabal.compat.TextQuery(), vabal.hook.look, vabal.spark.pick, vabal.ray.pick
assert not {"torch", "sklearn", "skactiveml", "modAL", "baal", "small_text", "pandas"} & set(sys.modules)
assert not {"pyarrow", "pyspark", "ray"} & set(sys.modules)
assert set(vabal.compat.__all__) <= set(dir(vabal.compat))
for module in (vabal, vabal.compat):
    try:
        module.nonsense
    except AttributeError as error:
        assert "nonsense" in str(error)
    else:
        raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_help_names_things_by_where_they_are_found() -> None:
    for name in vabal.__all__:
        value = getattr(vabal, name)
        if isinstance(value, type):
            assert value.__module__ == "vabal" and value.__doc__


def test_a_selection_as_a_table(known: Known) -> None:
    pytest.importorskip("pandas")
    chosen = vabal.select("vabal", known.features, known.probs, known.labels, n=5)
    frame = chosen.to_frame()
    assert list(frame.columns) == ["id", "row", "score", *chosen.terms]
    np.testing.assert_array_equal(frame["id"], chosen.ids)
    assert frame["row"].dtype == np.int64 and len(frame) == 5
    assert vabal.select("random", ids=["a", "b"], n=0).to_frame().shape == (0, 3)


def test_selections_can_be_compared(known: Known) -> None:
    def of(**options: Any) -> vabal.Selection:
        return vabal.select("vabal", known.features, known.probs, known.labels, **{"n": 5, **options})

    first, second = of(), of()
    assert first == second
    assert of() != of(n=4) and of() != of(ridge=5.0) and of() != of(ids=np.arange(400) + 1) and of() != 5
    assert of(ids=[str(row) for row in range(400)]) != of()
    fitted: dict[str, Any] = {"preset": "cross", "minimum_steps": 50, "epochs": 1, "draws": 2, "n": 3}
    first, second = (vabal.select("vabal-paper", known.features, known.probs, **fitted) for _ in range(2))
    assert first == second and first.health == second.health
    assert first.health is not None and first.health != 5
    missing = dataclasses.replace(first.health, kl=float("nan"))
    assert missing == dataclasses.replace(missing) and missing != first.health
    with pytest.raises(TypeError, match="unhashable"):
        hash(first)


def test_settings_that_a_call_cannot_use_are_told(known: Known) -> None:
    several = np.stack([known.probs, np.roll(known.probs, 1, axis=1)], axis=1)
    for setting in ("draws", "dropout"):
        with pytest.warns(vabal.VabalWarning, match=f"{setting}= is not used: mc_probs= holds"):
            given: dict[str, Any] = {setting: 2 if setting == "draws" else 0.5}
            vabal.select("bald", mc_probs=several, n=1, **given)
    with pytest.warns(vabal.VabalWarning, match="members= is not used: committee_probs= holds"):
        vabal.select("ensemble-vote-entropy", committee_probs=several, n=1, members=3)  # type: ignore[call-overload]
    by_name = {strategy.name: strategy for strategy in vabal.strategies()}
    assert by_name["batch-bald"].settings == {"samples": 1000} and "draws" in by_name["vabal-paper"].settings
