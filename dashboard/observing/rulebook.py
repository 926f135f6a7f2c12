"""The rules: read from their table and compiled once, made, and ended."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from functools import lru_cache

from django.core.exceptions import ValidationError
from django.db import connection

from dashboard import models
from dashboard.domain.comparing.rules import Rule, RuleError, Rules, Treatment
from dashboard.models.reading import read_objects

logger = logging.getLogger(__name__)

#: Rules in force at most: each is asked about each difference.
MAX_IN_FORCE = 200
_IN_FORCE = "ended_at IS NULL AND (expires_at IS NULL OR expires_at > %s) ORDER BY id"
_TEXTS = ("path", "version", "key", "pattern", "replacement", "reason")


def rules_in_force(versions: Iterable[str], now: datetime) -> dict[str, Rules]:
    """The compiled rules for each of these versions, in one query."""
    in_force = current_rules(now)
    return {version: compiled(in_force, version) for version in versions}


def current_rules(now: datetime) -> tuple[Rule, ...]:
    """The rules in force as the comparison takes them, the oldest first.

    One that cannot be any more, since what is accepted has become stricter, is left out: it may
    not keep orders from being recorded.
    """
    return tuple(usable_rules(stored_rules(now)))


def rules_by_id(ids: Collection[int]) -> tuple[Rule, ...]:
    """These rules, whether they are in force or not, the oldest first."""
    return tuple(usable_rules(models.Rule.objects.filter(pk__in=ids).order_by("id")))


def usable_rules(rows: Iterable[models.Rule]) -> Iterator[Rule]:
    """These rules as the comparison takes them, without those that cannot be any more."""
    for row in rows:
        try:
            yield as_rule(row)
        except RuleError as error:
            logger.warning("rule %d is left out: %s", row.pk, error, extra={"action": "rules"})


def stored_rules(now: datetime) -> list[models.Rule]:
    """The rules that are neither ended nor expired, the oldest first."""
    return read_objects(models.Rule, _IN_FORCE, [connection.ops.adapt_datetimefield_value(now)])


def as_rule(row: models.Rule) -> Rule:
    """A stored rule as the comparison takes it; raises RuleError."""
    return Rule(
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
def compiled(rules: tuple[Rule, ...], version: str) -> Rules:
    """Those of the rules that concern a version, compiled."""
    return Rules.of(rules, version)


def make_rule(
    draft: Rule, *, reason: str, author: str, expires_at: datetime | None, now: datetime
) -> models.Rule:
    """Store a rule, in force from the next pair on; raises RuleError."""
    row = new_rule(draft, reason=reason, author=author, expires_at=expires_at, now=now)
    row.save()
    return row


def new_rule(
    draft: Rule, *, reason: str, author: str, expires_at: datetime | None, now: datetime
) -> models.Rule:
    """A rule that can be stored; raises RuleError."""
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
            raise RuleError(field, "text without NUL characters, please")
    try:
        row.full_clean()
    except ValidationError as refused:
        field, reasons = next(iter(refused.message_dict.items()))
        raise RuleError(field, " ".join(reasons)) from refused
    return row


def end_rule(rule: models.Rule, *, author: str, now: datetime) -> bool:
    """End a rule, from the next pair on; says whether it was in force until now."""
    running = models.Rule.objects.filter(pk=rule.pk, ended_at=None)
    ended = running.update(ended_at=now, ended_by=author)
    rule.refresh_from_db()
    return bool(ended)
