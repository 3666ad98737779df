"""The examples of the README run: the first by itself, each of the others after it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
FIRST, *LOOPS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
LIBRARIES = ("skactiveml", "modAL", "baal", "small_text")


@pytest.mark.parametrize(("library", "loop"), list(zip(LIBRARIES, LOOPS, strict=True)), ids=LIBRARIES)
def test_loops(library: str, loop: str, tmp_path: Path) -> None:
    pytest.importorskip(library)
    assert f"from {library}" in loop and len(loop.splitlines()) <= 20
    example = tmp_path / "example.py"
    strict = "import vabal, warnings\nwarnings.simplefilter('error', vabal.VabalWarning)\n"
    example.write_text(strict + FIRST + loop, encoding="utf-8")
    ran = subprocess.run([sys.executable, str(example)], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "240 labels" in ran.stdout
