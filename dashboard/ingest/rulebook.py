"""Reads and compiles the comparison rules, creates them and ends them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from functools import lru_cache

from django.core.exceptions import ValidationError

from dashboard import models
from dashboard.comparison.rules import ComparisonRule, RuleError, Rules, Treatment
from dashboard.database import connection
from dashboard.models.sql import read_objects

logger = logging.getLogger(__name__)

#: Maximum number of rules in force: each is checked for each difference.
MAX_IN_FORCE = 200
_IN_FORCE = "ended_at IS NULL AND (expires_at IS NULL OR expires_at > %s) ORDER BY id"
_TEXTS = ("path", "version", "key", "pattern", "replacement", "reason")


def rules_in_force(versions: Iterable[str], now: datetime) -> dict[str, Rules]:
    """The compiled rules by version, in one query."""
    in_force = current_rules(now)
    return {version: compiled(in_force, version) for version in versions}


def current_rules(now: datetime) -> tuple[ComparisonRule, ...]:
    """The rules in force for the comparison, oldest first.

    Stored rules that newer validation rejects are skipped: they must not stop the recording.
    """
    return tuple(usable_rules(stored_rules(now)))


def rules_by_id(ids: Collection[int]) -> tuple[ComparisonRule, ...]:
    """These rules, in force or not, oldest first."""
    return tuple(usable_rules(models.Rule.objects.filter(pk__in=ids).order_by("id")))


def usable_rules(rows: Iterable[models.Rule]) -> Iterator[ComparisonRule]:
    """These rules for the comparison, without those that validation rejects."""
    for row in rows:
        try:
            yield as_rule(row)
        except RuleError as error:
            logger.warning("rule %d is skipped: %s", row.pk, error, extra={"action": "rules"})


def stored_rules(now: datetime) -> list[models.Rule]:
    """The rules that are neither ended nor expired, oldest first."""
    return read_objects(models.Rule, _IN_FORCE, [connection().ops.adapt_datetimefield_value(now)])


def as_rule(row: models.Rule) -> ComparisonRule:
    """A stored rule for the comparison; raises RuleError."""
    return ComparisonRule(
        id=row.pk or 0,
        path=row.path,
        treatment=Treatment(row.treatment),
        version=row.version,
        absolute=row.absolute,
        relative=row.relative,
        key=row.key,
        pattern=row.pattern,
        replacement=row.replacement,
    )


@lru_cache(maxsize=64)
def compiled(rules: tuple[ComparisonRule, ...], version: str) -> Rules:
    """The rules that apply to a version, compiled."""
    return Rules.of(rules, version)


def make_rule(
    draft: ComparisonRule, *, reason: str, author: str, expires_at: datetime | None, now: datetime
) -> models.Rule:
    """Store a rule, in force from the next pair; raises RuleError."""
    row = new_rule(draft, reason=reason, author=author, expires_at=expires_at, now=now)
    row.save()
    return row


def new_rule(
    draft: ComparisonRule, *, reason: str, author: str, expires_at: datetime | None, now: datetime
) -> models.Rule:
    """A valid rule, not stored yet; raises RuleError."""
    if expires_at is not None and expires_at <= now:
        raise RuleError("expires_at", "choose a time that is still to come")
    if len(stored_rules(now)) >= MAX_IN_FORCE:
        raise RuleError("path", f"{MAX_IN_FORCE} rules are in force; end one first")
    row = models.Rule(
        path=draft.path,
        treatment=draft.treatment,
        version=draft.version,
        absolute=draft.absolute,
        relative=draft.relative,
        key=draft.key,
        pattern=draft.pattern,
        replacement=draft.replacement,
        reason=reason.strip(),
        author=author,
        created_at=now,
        expires_at=expires_at,
    )
    for field in _TEXTS:
        if "\0" in getattr(row, field):
            raise RuleError(field, "text without NUL characters")
    try:
        row.full_clean()
    except ValidationError as refused:
        field, reasons = next(iter(refused.message_dict.items()))
        raise RuleError(field, " ".join(reasons)) from refused
    return row


def end_rule(rule: models.Rule, *, author: str, now: datetime) -> bool:
    """End a rule, from the next pair; returns whether it was still running."""
    running = models.Rule.objects.filter(pk=rule.pk, ended_at=None)
    ended = running.update(ended_at=now, ended_by=author)
    rule.refresh_from_db()
    return bool(ended)
