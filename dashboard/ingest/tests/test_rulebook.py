"""Rules made and ended: in force from the next pair on, refused with the field that is wrong."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from dashboard.comparison.rules import ComparisonRule, RuleError, Treatment
from dashboard.ingest import rulebook
from dashboard.ingest.rulebook import end_rule, make_rule, rules_in_force, stored_rules
from dashboard.tests.making import NOW, a_draft, a_rule

pytestmark = pytest.mark.django_db


def make(
    draft: ComparisonRule, *, reason: str = "known", expires_at: datetime | None = None
) -> Any:
    return make_rule(draft, reason=reason, author="ada", expires_at=expires_at, now=NOW)


def test_a_rule_is_stored_with_all_that_it_says() -> None:
    draft = a_draft(
        "total", Treatment.TOLERANCE, version="vnext", absolute=0.01, relative=None, key="k"
    )
    made = make(draft, reason=" a cent ", expires_at=NOW + timedelta(days=1))
    (stored,) = stored_rules(NOW)
    assert stored == made
    assert (stored.reason, stored.author, stored.created_at) == ("a cent", "ada", NOW)
    assert rulebook.as_rule(stored) == ComparisonRule(**{**vars(draft), "id": made.pk})


def test_a_rule_is_in_force_until_it_is_ended_or_expires() -> None:
    first = make(a_draft("a"))
    make(a_draft("b"), expires_at=NOW + timedelta(hours=1))
    assert [one.path for one in stored_rules(NOW)] == ["a", "b"]
    assert [one.path for one in stored_rules(NOW + timedelta(hours=1))] == ["a"]
    assert end_rule(first, author="bob", now=NOW)
    assert [one.path for one in stored_rules(NOW)] == ["b"]
    assert (first.ended_by, first.ended_at) == ("bob", NOW)


def test_a_rule_is_ended_once() -> None:
    rule = a_rule(a_draft("a"))
    end_rule(rule, author="bob", now=NOW)
    assert not end_rule(rule, author="ada", now=NOW + timedelta(days=1))
    assert (rule.ended_by, rule.ended_at) == ("bob", NOW)


@pytest.mark.parametrize(
    ("draft", "reason", "field"),
    [
        (a_draft("a"), "  ", "reason"),
        (a_draft("a"), "x" * 501, "reason"),
        (a_draft("a"), "a\0b", "reason"),
        (a_draft("a" * 251), "known", "path"),
        (a_draft("a", version="v" * 41), "known", "version"),
        (a_draft("a", replacement="x" * 201), "known", "replacement"),
    ],
)
def test_what_the_table_cannot_keep_is_refused(
    draft: ComparisonRule, reason: str, field: str
) -> None:
    with pytest.raises(RuleError) as refused:
        make(draft, reason=reason)
    assert refused.value.field == field
    assert not stored_rules(NOW)


def test_a_rule_does_not_expire_before_it_begins() -> None:
    with pytest.raises(RuleError) as refused:
        make(a_draft("a"), expires_at=NOW)
    assert refused.value.field == "expires_at"


def test_there_are_only_so_many_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rulebook, "MAX_IN_FORCE", 2)
    first = make(a_draft("a"))
    make(a_draft("b"))
    with pytest.raises(RuleError, match="end one first"):
        make(a_draft("c"))
    end_rule(first, author="ada", now=NOW)
    make(a_draft("c"))


def test_a_rule_for_one_version_is_not_compiled_for_another() -> None:
    make(a_draft("a", version="vnext"))
    rules = rules_in_force(["vnext", "vlatest-b"], NOW)
    assert rules["vnext"].covering(("a",)) is not None
    assert rules["vlatest-b"].covering(("a",)) is None
