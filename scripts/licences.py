#!/usr/bin/env python3
"""Checks what `cargo metadata` says of every dependency on standard input: its licence is one that deny.toml allows, and
it comes from a registry that deny.toml allows. It is what cargo-deny checks, which takes minutes to compile."""

import json
import re
import sys
import tomllib
from pathlib import Path

RULES = tomllib.loads((Path(__file__).parent.parent / "deny.toml").read_text())
ALLOWED = set(RULES["licenses"]["allow"])
REGISTRIES = {f"registry+{address}" for address in RULES["sources"]["allow-registry"]}


def allowed(expression):
    """Whether an SPDX expression can be met; a slash is its old "OR"."""
    words = re.findall(r"[()]|AND|OR|/|[\w.+-]+(?: WITH [\w.-]+)?", expression)
    says = {"(": "(", ")": ")", "AND": " and ", "OR": " or ", "/": " or "}
    return eval("".join(says.get(word, str(word in ALLOWED)) for word in words))


packages = json.load(sys.stdin)["packages"]
wrong = []
for package in packages:
    name, licence, source = f"{package['name']} {package['version']}", package["license"], package["source"]
    if not (licence and allowed(licence)):
        wrong.append(f"{name} has the licence {licence}, which deny.toml does not allow")
    if source and source not in REGISTRIES:
        wrong.append(f"{name} comes from {source}, which deny.toml does not allow")
if wrong:
    sys.exit("error: " + "\n  ".join(wrong) + "\n  hint: choose another crate, or allow it in deny.toml and say why")
print(f"{len(packages)} packages, all of allowed licences and sources")
