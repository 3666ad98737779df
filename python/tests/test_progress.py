"""While Rust works: progress, stopping, other threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Known, pool

import vabal

LONG: dict[str, Any] = {"preset": "cross", "epochs": 100_000, "minimum_steps": 1_000_000}


def test_a_callback_hears_every_phase_but_not_too_often(known: Known) -> None:
    heard: list[vabal.Progress] = []
    start = time.perf_counter()
    of: dict[str, Any] = {"n": 5, "progress": heard.append, "preset": "cross", "minimum_steps": 1000, "draws": 50}
    vabal.select("vabal-paper", known.features, known.probs, known.labels, **of)
    phases = list(dict.fromkeys(event.phase for event in heard))
    assert phases[0] == "vae" and "score" in phases
    for phase in phases:
        last = [event for event in heard if event.phase == phase][-1]
        assert last.done == last.total and last.unit in ("step", "image")
    assert heard[0].loss is not None
    assert len(heard) <= 20 * (time.perf_counter() - start) + 2 * len(phases)


def test_what_a_callback_raises_stops_the_work(known: Known) -> None:
    class Enough(Exception):
        pass

    def stop(event: vabal.Progress) -> None:
        if event.done > 1:
            raise Enough

    with pytest.raises(Enough):
        vabal.select("vabal-paper", known.features, known.probs, n=1, progress=stop, **LONG)
    with pytest.raises(TypeError, match="neither a callable"):
        vabal.select("random", known.features, n=1, progress="yes")  # type: ignore[call-overload]


def test_bars(known: Known, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    vabal.select(
        "vabal-paper", known.features, known.probs, n=1, progress=True, preset="cross", minimum_steps=100, draws=2
    )
    shown = capsys.readouterr().err
    assert "vae" in shown and "100%" in shown


def test_ctrl_c_is_a_keyboard_interrupt(tmp_path: Path) -> None:
    code = f"""
import signal, numpy as np, vabal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is born deaf to it
probs = np.full((2000, 2), 0.5, dtype=np.float32)
print("ready", flush=True)
try:
    vabal.select("vabal-paper", np.eye(64, dtype=np.float32)[np.arange(2000) % 64], probs, n=1, **{LONG!r})
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=20)
    assert rest == "interrupted\n" and process.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there is no timer of the processor's time")
@pytest.mark.parametrize("strategy", vabal.strategies(), ids=lambda s: s.name)
def test_ctrl_c_is_heard_soon_in_every_strategy(strategy: vabal.Strategy) -> None:
    """By the time that the processor works, which a busy machine does not change: from the signal to the end."""
    known = pool(n=60_000, d=64, classes=10, labelled=600)
    several = np.repeat(known.probs[:, None], 4, axis=1)
    arrays: dict[str, Any] = {"features": known.features, "probs": known.probs, "labels": known.labels}
    arrays |= {name: several for name in ("mc_probs", "committee_probs") if name in strategy.needs}
    long = {"probcover", "typiclust", "batch-bald", "vabal-paper", "vabal-official"}

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGPROF, interrupted)
    try:
        for moment in (0.2, 1.5):
            start = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, moment)
            try:
                vabal.select(strategy.name, **arrays, n=2000)
                signal.setitimer(signal.ITIMER_PROF, 0)
                assert strategy.name not in long
            except KeyboardInterrupt:
                late = time.process_time() - start - moment
                assert late < 0.3 * (os.cpu_count() or 1), f"{late:.2f} s after the signal"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def test_other_threads_run_meanwhile() -> None:
    known, counted, done = pool(n=2000), 0, threading.Event()

    def count() -> None:
        nonlocal counted
        while not done.is_set():
            counted += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    before = counted
    vabal.select(
        "vabal-paper", known.features, known.probs, known.labels, n=5, preset="cross", minimum_steps=2000, draws=20
    )
    meanwhile = counted - before
    done.set()
    thread.join()
    # Held up until the end it would count to 1.
    assert meanwhile > 10


def test_two_threads_choose_at_once(known: Known) -> None:
    answers: list[np.ndarray[Any, Any]] = []

    def choose() -> None:
        answers.append(vabal.select("entropy", probs=known.probs, labels=known.labels, n=9).ids)

    threads = [threading.Thread(target=choose) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8 and all((ids == answers[0]).all() for ids in answers)


def test_a_warning_is_the_callers(known: Known) -> None:
    with pytest.warns(vabal.VabalWarning, match="asked for 500") as caught:
        vabal.select("entropy", probs=known.probs, n=500)
    assert caught[0].filename == __file__


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_child_works_too(tmp_path: Path) -> None:
    code = """
import os, numpy as np, vabal
features = np.random.default_rng(1).normal(size=(3000, 8)).astype("float32")
ask = lambda: vabal.select("core-set", features, n=20).ids.tolist()
expected = ask()  # starts the workers, which a child does not inherit
for _ in range(2):
    child = os.fork()
    if child == 0:
        same = ask() == expected
        grandchild = os.fork()
        if grandchild == 0:
            os._exit(0 if ask() == expected else 1)
        os._exit(0 if same and os.waitpid(grandchild, 0)[1] == 0 else 1)
    assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60, cwd=tmp_path)
