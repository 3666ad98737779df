"""Checks the documentation, and assembles it for the site.

    python3 scripts/docs.py check                 # every link, anchor, file and command in every page
    python3 scripts/docs.py assemble FOLDER       # docs/ with the Python package's page and reference, for scripts/docs.sh

Commands of `vabal` are compared with the help of the program that VABAL names; without it they are left out, and said to
be. The reference is taken from the package `vabal` of the Python that runs this. Nothing but Python 3.11.
"""

import inspect
import os
import pathlib
import re
import shlex
import subprocess
import sys
import unicodedata
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOME = "https://github.com/vabal/vabal"
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*(<[^>]*>|[^()\s]*(?:\([^()]*\)[^()\s]*)*)[^)]*\)")
SOURCE = re.compile(r'(?:src|srcset|href)="([^"]+)"')


def pages():
    """Every page of the repository, but those that a program wrote."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def without_code(text):
    """The text with code blocks and spans blanked, its lines kept."""
    blank = lambda found: re.sub(r"[^\n]", " ", found[0])
    text = re.sub(r"^( *)(```|~~~).*?^\1\2[^\n]*$", blank, text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]+`", blank, text)


def anchors(text):
    """The anchors of a page's headings, as GitHub makes them."""
    found, seen = set(), {}
    for line in re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line).strip().lower()
        slug = "".join(c for c in words if c in "-_ " or unicodedata.category(c)[0] in "LN").replace(" ", "-")
        number = seen.get(slug, 0)
        seen[slug] = number + 1
        found.add(f"{slug}-{number}" if number else slug)
    return found


def links(page, text):
    """The targets of a page's links to files of the repository, with their lines: (line, path, anchor)."""
    plain = without_code(text)
    for pattern in (LINK, SOURCE):
        for found in pattern.finditer(plain):
            # From the text itself: a span of code may stand in a link's text, never in its target.
            target = text[found.start(1):found.end(1)].strip("<>")
            if re.match(r"[a-z]+:", target) or not target:
                continue
            path, _, anchor = urllib.parse.unquote(target).partition("#")
            yield text.count("\n", 0, found.start()) + 1, (page.parent / path).resolve() if path else page, anchor


def broken_links(page, text):
    for line, target, anchor in links(page, text):
        if ROOT not in target.parents and target != ROOT:
            yield line, f"{target} is not in the repository"
        elif not target.exists():
            yield line, f"there is no {target.relative_to(ROOT)}"
        elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text(encoding="utf-8")):
            yield line, f"{target.relative_to(ROOT)} has no heading #{anchor}"


def commands(text):
    """The commands in a page's blocks of shell: (line, words)."""
    for block in re.finditer(r"^```(?:sh|bash|console)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        line = text.count("\n", 0, block.start(1)) + 1
        for row in re.sub(r"\\\n", "  ", block[1]).split("\n"):
            try:
                words = shlex.split(row, comments=True)
            except ValueError as error:
                raise SystemExit(f"error: line {line} is no command: {row}\n  {error}") from None
            if words:
                yield line, words
            line += 1


class Program:
    """What `vabal` knows, by its own help."""

    def __init__(self, path):
        self.path, self.helps = path, {}

    def help(self, *names):
        if names not in self.helps:
            run = subprocess.run([self.path, *names, "--help"], capture_output=True, text=True)
            self.helps[names] = run.stdout if run.returncode == 0 else None
        return self.helps[names]

    def mistake(self, words):
        if not words or words[0].startswith("-"):
            return None
        names = [words[0]]
        if self.help(*names) is None:
            return f"vabal has no command {words[0]}"
        if "Commands:" in self.help(*names) and len(words) > 1 and not words[1].startswith("-"):
            names.append(words[1])
            if self.help(*names) is None:
                return f"vabal {words[0]} has no command {words[1]}"
        known = self.help(*names)
        for word in words[len(names):]:
            flag = word.split("=")[0]
            if flag.startswith("-") and len(flag) > 1 and not re.search(rf"(^|\s){re.escape(flag)}(?![\w-])", known):
                return f"vabal {' '.join(names)} has no option {flag}"
        return None


def wrong_commands(text, program):
    for line, words in commands(text):
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        if words[:4] == ["cargo", "run", "--release", "--"]:
            words = ["vabal", *words[4:]]
        if words[:1] == ["vabal"] and program:
            if mistake := program.mistake(words[1:]):
                yield line, mistake
        script = words[1] if words[:1] in (["python"], ["python3"], ["bash"], ["node"]) and len(words) > 1 else words[0] if words else ""
        if re.match(r"(scripts|experiments|bench|tests)/", script):
            if not (ROOT / script).is_file():
                yield line, f"there is no {script}"
            elif script.endswith(".py"):
                source = (ROOT / script).read_text(encoding="utf-8")
                for flag in (word.split("=")[0] for word in words[2:] if word.startswith("--")):
                    if f'"{flag}"' not in source:
                        yield line, f"{script} has no option {flag}"


def check():
    program = Program(os.environ["VABAL"]) if os.environ.get("VABAL") else None
    if not program:
        print("VABAL names no program: the commands of vabal are not compared with it", file=sys.stderr)
    faults, counts = [], [0, 0, 0]
    for page in pages():
        text = page.read_text(encoding="utf-8")
        counts = [n + m for n, m in zip(counts, (1, len(list(links(page, text))), len(list(commands(text)))), strict=True)]
        for line, fault in [*broken_links(page, text), *wrong_commands(text, program)]:
            faults.append(f"{page.relative_to(ROOT)}:{line}: {fault}")
    listed = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    faults += [f"docs/decisions/README.md: {page.name} is not in the list"
               for page in sorted((ROOT / "docs/decisions").glob("0*.md")) if f"({page.name})" not in listed]
    if faults:
        raise SystemExit("error: the documentation has faults\n  " + "\n  ".join(faults))
    print(f"{counts[0]} pages, {counts[1]} links to files, {counts[2]} commands")


def reference():
    """The package's public names with their signatures and docstrings, as a page."""
    import vabal

    text = ["# Python reference\n", "Made from the package's own docstrings. What it is for: [the Python package](python.md).\n"]
    names = [(f"vabal.{name}", getattr(vabal, name)) for name in vabal.__all__]
    for module in ("compat", "hook", "ray", "spark"):
        inside = getattr(vabal, module)
        names += [(f"vabal.{module}.{name}", getattr(inside, name)) for name in getattr(inside, "__all__", ["look"])]
    for name, item in names:
        if not (inspect.isclass(item) or inspect.isfunction(item)):
            continue
        text += entry("##", name, item)
        if inspect.isclass(item):
            for method, value in vars(item).items():
                function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
                if not method.startswith("_") and inspect.isfunction(function):
                    text += entry("###", f"{name}.{method}", function)
    return "\n".join(text)


def entry(level, name, item):
    """One heading, its signature with a line for each parameter, and its docstring as Markdown."""
    try:
        signature = inspect.signature(item)
    except ValueError:
        signature = inspect.Signature()
    plain = lambda text: re.sub(r"ForwardRef\('?([^')]*)'?\)", r"\1", text).replace("'", "")
    listed = [plain(str(value)) for key, value in signature.parameters.items() if key not in ("self", "cls")]
    inside = f"({', '.join(listed)})" if len(listed) < 3 else "(\n    " + ",\n    ".join(listed) + ",\n)"
    gives = "" if signature.return_annotation is inspect.Signature.empty else f" -> {plain(inspect.formatannotation(signature.return_annotation))}"
    return [f"{level} `{name}`\n", f"```python\n{name.rpartition('.')[2]}{inside}{gives}\n```\n", markdown(inspect.getdoc(item) or "")]


def markdown(docstring):
    """A docstring of Google's style: its sections as bold words and lists, its examples as code."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", docstring.replace("``", "`"))
    text = re.sub(r"^(Args|Returns|Raises|Yields):$", r"**\1**\n", text, flags=re.MULTILINE)
    text = re.sub(r"^    (\*{0,2}\w+): ", lambda found: f"- `{found[1]}`: ", text, flags=re.MULTILINE)
    text = re.sub(r"^ {4,}(?=\S)", "  ", text, flags=re.MULTILINE)
    return re.sub(r"(?:^>>>.*\n?(?:^(?!>>>)\S.*\n?|^\.\.\. .*\n?)*)+", lambda found: f"```pycon\n{found[0].rstrip()}\n```\n", text, flags=re.MULTILINE) + "\n"


def assemble(folder):
    """The pages of the site. What they link to outside of it is at the repository's home."""
    site = {page: page.relative_to(ROOT / "docs") for page in pages() if ROOT / "docs" in page.parents}
    site[ROOT / "python/README.md"] = pathlib.Path("python.md")
    for page, place in site.items():
        text = page.read_text(encoding="utf-8")
        for pattern in (LINK, SOURCE):
            plain, out, end = without_code(text), [], 0
            for found in pattern.finditer(plain):
                target = text[found.start(1):found.end(1)]
                path, mark, anchor = target.partition("#")
                if re.match(r"[a-z]+:", target) or not path:
                    continue
                goal = (page.parent / path).resolve()
                if goal in site:
                    new = os.path.relpath(site[goal], place.parent)
                elif ROOT / "docs" in goal.parents and goal.is_file():
                    new = path
                else:
                    new = f"{HOME}/blob/main/{goal.relative_to(ROOT)}"
                out += [text[end:found.start(1)], new + mark + anchor]
                end = found.end(1)
            text = "".join(out) + text[end:]
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text, encoding="utf-8")
    for figure in (ROOT / "docs/figures").iterdir():
        (folder / "figures").mkdir(exist_ok=True)
        (folder / "figures" / figure.name).write_bytes(figure.read_bytes())
    (folder / "python-reference.md").write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["check"]:
            check()
        case ["assemble", folder]:
            assemble(pathlib.Path(folder))
        case _:
            raise SystemExit(__doc__)
