"""The settings, files, links and commands in the README and the docs match the code."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from random import Random
from typing import Any

from django.core.management import get_commands, load_command_class
from hypothesis import given, strategies

from dashboard.comparison.judgement import Ending, Group, GroupKind, judge
from dashboard.comparison.outcome import State
from dashboard.comparison.rules import Rules
from kitchen_worker.amqp.tests.making import an_item, an_order
from kitchen_worker.contract.messages import PlacedOrder
from kitchen_worker.kitchens import vlatest
from restaurant.checks import IDS
from restaurant.menu import MAX_QUANTITY, MENU

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
DOCS = (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "k8s" / "README.md")
#: Namespace of the README's example kitchen.
MY_KITCHEN: dict[str, Any] = {}
exec("\n".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL)), MY_KITCHEN)  # noqa: S102


def test_the_settings_table_names_every_setting_with_its_check() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \|.*\| (restaurant\.E\d+) \|$", OPERATIONS, re.MULTILINE)
    assert dict(rows) == IDS
    assert len(rows) == len(IDS)


def test_every_file_that_the_readme_names_exists() -> None:
    named = re.findall(r"`((?:[a-z_]+/)+(?:[a-z_]+\.[a-z]+)?)`", README)
    assert len(named) >= 10
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_link_of_the_docs_leads_to_a_file_and_a_heading() -> None:
    broken = []
    for page in DOCS:
        links = re.findall(r"\]\(((?!https?:)[^)]+)\)", page.read_text())
        assert links, page
        for link in links:
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append((page.name, link))
    assert broken == []


def anchors(page: Path) -> set[str]:
    """The anchors that a Markdown page's headings get."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^make ([a-z-]+)", README, re.MULTILINE))
    assert {"run", "test", "rush"} <= targets
    assert [target for target in targets if f"\n{target}:" not in makefile] == []


def test_nothing_in_the_docs_names_a_machine() -> None:
    for path in DOCS:
        assert not re.search(r"/(?:work|root|home)/", path.read_text()), path


@strategies.composite
def orders(draw: strategies.DrawFn) -> PlacedOrder:
    quantities = strategies.integers(1, MAX_QUANTITY)
    chosen = strategies.dictionaries(strategies.sampled_from(MENU), quantities, min_size=1)
    items = [
        an_item(item.name, many, preparation_time=item.preparation_time, unit_price=item.price)
        for item, many in draw(chosen).items()
    ]
    return an_order(*items, note=draw(strategies.text(max_size=20)))


@given(orders())
def test_the_kitchen_of_the_readme_agrees_with_vlatest_but_for_the_cook(order: PlacedOrder) -> None:
    control, ours = (
        Ending(state=State.HANDLED, result=json.loads(json.dumps(result)))
        for result in (vlatest.cook(order, Random(order.note)), MY_KITCHEN["cook"](order))
    )
    assert set(judge(control, ours, Rules(())).groups) <= {Group(GroupKind.VALUE, "cook")}


def test_make_manage_accepts_the_commands_of_the_readme() -> None:
    given = re.findall(r'make manage ARGS="([a-z][^"]+)"', README + OPERATIONS)
    assert len(given) >= 3
    for words in map(shlex.split, given):
        command = load_command_class(get_commands()[words[0]], words[0])
        command.create_parser("manage.py", words[0]).parse_args(words[1:])
