"""Every change to a launch goes through one module and is recorded: what, who, when and why."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from kitchen_worker.contract.messages import Role
from restaurant.launches import (
    LaunchRefused,
    add_version,
    end_launch,
    rename_launch,
    set_percent,
    start_launch,
)
from restaurant.models import DarkVersion, Launch, LaunchChange
from restaurant.tests.making import a_launch, some_orders
from tests.imports import production_modules

_ROOT = Path(__file__).resolve().parents[2]


def _rows(launch: Launch) -> list[tuple[str, str, str, str, str, str]]:
    """The changes of a launch, oldest first."""
    changes = LaunchChange.objects.filter(launch=launch).order_by("id")
    return [(one.kind, one.version, one.old, one.new, one.author, one.reason) for one in changes]


@pytest.mark.django_db
def test_start_percent_new_version_name_and_end_each_leave_a_row() -> None:
    dark = [("vnext", Role.CANDIDATE, Decimal(100)), ("vlatest-b", Role.BASELINE, Decimal("2.50"))]
    launch = start_launch("first", "vlatest", dark, author="ada", reason="release 12")
    set_percent(launch, "vnext", Decimal(5), author="ben", reason="too slow")
    add_version(launch, "vmine", Role.CANDIDATE, Decimal(1), author="cy", reason="my build")
    rename_launch(launch, "second", author="dan", reason="a typo")
    assert end_launch(launch, author="eve", reason="promoted")
    parts = "vlatest (control), vnext (candidate, 100 %), vlatest-b (baseline, 2.5 %)"
    assert _rows(launch) == [
        ("started", "", "", parts, "ada", "release 12"),
        ("percent", "vnext", "100 %", "5 %", "ben", "too slow"),
        ("added", "vmine", "", "candidate, 1 %", "cy", "my build"),
        ("renamed", "", "first", "second", "dan", "a typo"),
        ("ended", "", "running", "ended", "eve", "promoted"),
    ]  # fmt: skip
    assert all(one.at is not None for one in LaunchChange.objects.all())


@pytest.mark.django_db
def test_what_changes_nothing_leaves_no_row() -> None:
    launch = a_launch()
    set_percent(launch, "vnext", Decimal("100.00"), author="ada", reason="again")
    rename_launch(launch, "first", author="ada", reason="again")
    assert [row[0] for row in _rows(launch)] == ["started"]
    assert end_launch(launch, author="ada", reason="over")
    assert not end_launch(launch, author="ben", reason="over, too")
    assert [row[0] for row in _rows(launch)] == ["started", "ended"]


@pytest.mark.django_db
@pytest.mark.parametrize("percent", ["100.01", "-1", "0.001", "NaN"])
def test_a_wrong_percent_is_refused_and_leaves_no_row(percent: str) -> None:
    launch = a_launch()
    with pytest.raises(LaunchRefused):
        set_percent(launch, "vnext", Decimal(percent), author="ada", reason="a try")
    with pytest.raises(LaunchRefused):
        add_version(launch, "vmine", Role.CANDIDATE, Decimal(percent), author="ada", reason="a try")
    assert [row[0] for row in _rows(launch)] == ["started"]
    assert DarkVersion.objects.get(version="vnext").percent == 100


@pytest.mark.django_db
def test_a_change_to_a_launch_that_ended_or_of_a_version_it_lacks_is_refused() -> None:
    launch = a_launch()
    with pytest.raises(LaunchRefused, match="first has no dark version 'vother'"):
        set_percent(launch, "vother", Decimal(5), author="ada", reason="a try")
    with pytest.raises(LaunchRefused, match="vlatest is the control"):
        add_version(launch, "vlatest", Role.CANDIDATE, Decimal(5), author="ada", reason="a try")
    with pytest.raises(LaunchRefused, match="a dark version is named twice"):
        add_version(launch, "vnext", Role.CANDIDATE, Decimal(5), author="ada", reason="a try")
    end_launch(launch, author="ada", reason="over")
    for act in (
        lambda: set_percent(launch, "vnext", Decimal(5), author="ada", reason="a try"),
        lambda: add_version(launch, "v", Role.CANDIDATE, Decimal(5), author="a", reason="b"),
        lambda: rename_launch(launch, "x", author="ada", reason="a try"),
    ):
        with pytest.raises(LaunchRefused, match="first has ended"):
            act()
    assert [row[0] for row in _rows(launch)] == ["started", "ended"]


@pytest.mark.django_db
@pytest.mark.parametrize(("author", "reason"), [("", "why"), ("ada", " "), ("ada", "x" * 501)])
def test_a_change_names_its_author_and_its_reason(author: str, reason: str) -> None:
    launch = a_launch()
    with pytest.raises(LaunchRefused):
        set_percent(launch, "vnext", Decimal(5), author=author, reason=reason)
    assert DarkVersion.objects.get(version="vnext").percent == 100


@pytest.mark.django_db
def test_the_change_and_its_row_are_written_together_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    launch = a_launch()

    def fails(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(LaunchChange, "save", fails)
    for act in (
        lambda: set_percent(launch, "vnext", Decimal(5), author="ada", reason="slow"),
        lambda: add_version(launch, "v", Role.CANDIDATE, Decimal(5), author="a", reason="b"),
        lambda: rename_launch(launch, "x", author="ada", reason="a try"),
        lambda: end_launch(launch, author="ada", reason="over"),
    ):
        with pytest.raises(RuntimeError):
            act()
    launch.refresh_from_db()
    assert (launch.name, launch.ended_at) == ("first", None)
    assert {one.version: one.percent for one in launch.dark_versions.all()} == {
        "vnext": 100, "vlatest-b": 20,
    }  # fmt: skip


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_an_order_does_not_wait_for_a_change_that_is_being_written() -> None:
    launch = a_launch()

    def placed() -> int:
        with closing(connection), connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'")
            return len(some_orders())

    with transaction.atomic(), ThreadPoolExecutor(1) as another:
        set_percent(launch, "vnext", Decimal(5), author="ada", reason="slow")
        assert another.submit(placed).result() == 1


# The command line


def _command(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_the_command_line_sets_percents_adds_versions_and_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    _command("start_launch", "--name", "mine", "--why", "release 12")
    assert "mine: vnext 100 % → 2.5 %" in _command("set_percent", "vnext=2.5", "--why", "too slow")
    said = _command("add_version", "vmine=0", "--why", "my build", "--by", "ben")
    assert "added vmine (candidate, 0 %)" in said
    assert "ended mine" in _command("end_launch", "--why", "promoted")
    [launch] = Launch.objects.all()
    assert [(row[0], row[4], row[5]) for row in _rows(launch)] == [
        ("started", "ada (command line)", "release 12"),
        ("percent", "ada (command line)", "too slow"),
        ("added", "ben (command line)", "my build"),
        ("ended", "ada (command line)", "promoted"),
    ]


@pytest.mark.django_db
def test_a_baseline_is_added_by_its_role() -> None:
    launch = a_launch()
    _command("add_version", "vlatest-c=20", "--role", "baseline", "--why", "less noise")
    assert DarkVersion.objects.get(launch=launch, version="vlatest-c").role == "baseline"


@pytest.mark.django_db
def test_a_percent_that_is_set_holds_from_the_next_order_on() -> None:
    a_launch(baseline="0")
    [before] = some_orders()
    _command("set_percent", "vnext=0", "--why", "stop it")
    [after] = some_orders()
    assert (before.sample, after.sample) == (["vnext"], [])


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["set_percent", "vnext=5"], "--why"),
        (["set_percent", "vnext", "--why", "x"], "VERSION=PERCENT"),
        (["set_percent", "vnext=lots", "--why", "x"], "'lots' is not a percent"),
        (["set_percent", "vnext=101", "--why", "x"], "less than or equal to 100"),
        (["set_percent", "vother=5", "--why", "x"], "no dark version 'vother'"),
        (["add_version", "V!=5", "--why", "x"], "Lower-case letters"),
        (["end_launch"], "--why"),
    ],
)
def test_a_command_prints_what_is_wrong_and_changes_nothing(words: list[str], said: str) -> None:
    launch = a_launch()
    with pytest.raises(CommandError, match=said):
        _command(*words)
    assert [row[0] for row in _rows(launch)] == ["started"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "words", [["set_percent", "vnext=5"], ["add_version", "vmine"], ["end_launch"]]
)
def test_without_an_open_launch_a_command_prints_that(words: list[str]) -> None:
    with pytest.raises(CommandError, match="no launch is open"):
        _command(*words, "--why", "x")


@pytest.mark.django_db
def test_who_has_no_name_on_this_machine_is_named_by_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4_000_000)
    _command("start_launch")
    assert LaunchChange.objects.get().author == "user 4000000 (command line)"


# One door

#: What writes rows by a manager or a query.
_WRITING = {
    "create", "acreate", "bulk_create", "update", "aupdate", "bulk_update", "delete", "adelete",
    "get_or_create", "update_or_create",
}  # fmt: skip
_TABLES = {"Launch", "DarkVersion", "LaunchChange"}


def _writes(source: str) -> Iterator[str]:
    """Where source code writes a launch, by whatever way the ORM gives."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in _TABLES:
                yield f"{node.lineno}: makes a {name}"
            case ast.Call(func=ast.Attribute(attr=act, value=of)) if act in _WRITING:
                names = {one.id for one in ast.walk(of) if isinstance(one, ast.Name)}
                names |= {one.attr for one in ast.walk(of) if isinstance(one, ast.Attribute)}
                words = {one.arg for one in node.keywords}
                if names & {*_TABLES, "dark_versions"} or "percent" in words:
                    yield f"{node.lineno}: {act} on a launch"
            case ast.Attribute(attr="percent", ctx=ast.Store()):
                yield f"{node.lineno}: sets a percent"
            case ast.Attribute(attr=column, ctx=ast.Store(), value=ast.Name(id="launch")):
                yield f"{node.lineno}: sets a launch's {column}"
            case ast.Constant(value=str(text)) if _is_written_sql(text):
                yield f"{node.lineno}: SQL that writes a launch"


def _is_written_sql(text: str) -> bool:
    words = text.lower().split()
    tables = {"restaurant_launch", "restaurant_darkversion", "restaurant_launchchange"}
    written = {"update", "insert", "delete"} & set(words)
    return bool(written and tables & {word.strip('"(;') for word in words})


def test_no_other_module_writes_a_launch() -> None:
    modules = production_modules(_ROOT)
    door = list(_writes(modules.pop("restaurant.launches").read_text()))
    assert door
    assert not any("delete" in one for one in door), "what orders were sent to stays known"
    others = {
        name: found
        for name, path in modules.items()
        if ".migrations." not in name and (found := list(_writes(path.read_text())))
    }
    assert others == {}


@pytest.mark.parametrize(
    "source",
    [
        "DarkVersion.objects.filter(version='vnext').update(percent=0)",
        "launch.dark_versions.all().delete()",
        "launch.dark_versions.create(version='vmine')",
        "some_rows.update(percent=0)",
        "one.percent = Decimal(0)",
        "launch.ended_at, x = now, 1",
        "models.Launch.objects.create(name='x')",
        "Launch(name='x').save()",
        "cursor.execute('UPDATE restaurant_darkversion SET percent = 0')",
    ],
)
def test_a_planted_write_of_a_launch_is_found(source: str) -> None:
    assert len(list(_writes(source))) == 1
