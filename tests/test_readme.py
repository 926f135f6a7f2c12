"""The README keeps its word: its settings, files and commands are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from restaurant.checks import IDS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_the_settings_table_names_every_setting_with_its_check() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \|.*\| (restaurant\.E\d+) \|$", README, re.MULTILINE)
    assert dict(rows) == IDS
    assert len(rows) == len(IDS)


def test_every_file_that_the_readme_names_is_there() -> None:
    linked = re.findall(r"\]\(((?!http)[^)#]+)\)", README)
    named = re.findall(r"`((?:[a-z_]+/)+(?:[a-z_]+\.[a-z]+)?)`", README)
    assert len(linked) >= 4
    assert len(named) >= 10
    assert [path for path in {*linked, *named} if not (ROOT / path).exists()] == []


def test_the_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^make ([a-z-]+)", README, re.MULTILINE))
    assert {"run", "test", "rush"} <= targets
    assert [target for target in targets if f"\n{target}:" not in makefile] == []


def test_nothing_in_the_docs_names_a_machine() -> None:
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "k8s" / "README.md"):
        assert not re.search(r"/(?:work|root|home)/", path.read_text()), path
