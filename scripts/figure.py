"""Takes a figure of a report into the README, once in light and once in dark colours.

    vabal run CONFIG.toml && vabal report runs/NAME --out report.html
    python3 scripts/figure.py report-files/balanced-accuracy.svg docs/figures/NAME

writes NAME.svg and NAME-dark.svg. The colours are those of the report, read from where it has them.
"""

import re
import sys
from pathlib import Path

INKS = Path(__file__).parent.parent / "crates/vabal/src/experiment/report/svg.rs"


def main(figure: Path, name: Path) -> None:
    light = figure.read_text()
    inks = dict(re.findall(r'\("\w+", "(#\w{6})", "(#\w{6})"\)', INKS.read_text()))
    assert inks, f"{INKS} holds no inks"
    dark = re.sub("#[0-9a-f]{6}", lambda ink: inks[ink.group()], light)
    for path, text in (name.with_suffix(".svg"), light), (name.with_name(name.name + "-dark.svg"), dark):
        path.write_text(text)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
