"""Judges a launch's stored pairs anew, by the rules in force when a person asked for it. The
observer does it a chunk at a time, each under the lock under which it records.

A chunk is one transaction: whoever is stopped between two goes on with the next one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from dashboard.domain.outcome import Outcome, cell
from dashboard.models import Comparison, Rejudging, Tally
from dashboard.observing.grouping import Groups
from dashboard.observing.halving import first_id_from
from dashboard.observing.rosters import Roster, read_roster
from dashboard.observing.rulebook import compiled, rules_by_id, stored_rules
from dashboard.observing.signatures import Members, Signatures
from dashboard.observing.stored_pairs import StoredPair, judged_anew
from restaurant.launches import find_launch
from restaurant.models import Launch
from restaurant.write_lock import write_transaction

#: Comparisons of one step, at most.
CHUNK = 200
#: How far the clock that started the launch may be ahead of the observer's.
_CLOCKS_DIFFER = timedelta(minutes=10)


def request(launch: UUID, *, author: str, now: datetime) -> Rejudging:
    """Ask for a launch's pairs to be judged anew; one that is under way is given instead.

    It begins anew, though, when other rules are in force than those it was asked for.
    """
    with transaction.atomic():
        # With the tallies locked nothing is being recorded: what has no id yet will be judged by
        # the rules that are in force now.
        _locked_tallies(launch)
        start, until = _start(launch), _newest()
        rules = [rule.pk for rule in stored_rules(now)]
        running = _unfinished().select_for_update().filter(launch=launch).first()
        if running is None:
            return Rejudging.objects.create(
                launch=launch,
                requested_by=author,
                requested_at=now,
                rules=rules,
                cursor=start,
                until=until,
            )
        if running.rules != rules:
            running.requested_by, running.requested_at, running.rules = author, now, rules
            running.cursor, running.until = start, until
            running.judged = running.changed = 0
            running.save()
        return running


def progress(rejudging: Rejudging) -> float:
    """The part that is done, from 0 to 1."""
    if rejudging.finished_at is not None:
        return 1.0
    start = _start(rejudging.launch)
    span = rejudging.until - start
    return min(1.0, max(0.0, (rejudging.cursor - start) / span)) if span > 0 else 0.0


def step(now: datetime, *, at_most: int | None = None) -> UUID | None:
    """Judge one chunk of what was asked for first; gives the launch, or None: nothing is left."""
    oldest = _unfinished().order_by("id").first()
    if oldest is None:
        return None
    with write_transaction():
        tallies = _locked_tallies(oldest.launch)
        rejudging = _unfinished().select_for_update().filter(pk=oldest.pk).first()
        if rejudging is None:
            return oldest.launch
        chunk = _next_chunk(rejudging, at_most or CHUNK)
        _judge(rejudging, chunk, tallies, now)
        rejudging.cursor = chunk[-1].pk if chunk else rejudging.until
        if rejudging.cursor >= rejudging.until:
            rejudging.finished_at = now
        rejudging.save()
    return oldest.launch


def _unfinished() -> QuerySet[Rejudging]:
    return Rejudging.objects.filter(finished_at=None)


def _locked_tallies(launch: UUID) -> dict[str, Tally]:
    rows = Tally.objects.select_for_update().filter(launch=launch).order_by("id")
    return {row.version: row for row in rows}


def _start(launch: UUID) -> int:
    """An id before the launch's first comparison: they are stored in the order of time."""
    found = Launch.objects.filter(pk=launch).first()
    if found is None:
        return 0
    since = found.started_at - _CLOCKS_DIFFER
    return first_id_from("dashboard_comparison", "compared_at", since) - 1


def _newest() -> int:
    return Comparison.objects.order_by("-id").values_list("id", flat=True).first() or 0


def _next_chunk(rejudging: Rejudging, at_most: int) -> list[Comparison]:
    """The next comparisons by id, those of other launches among them: the way that costs the same
    at every size of the table."""
    rows = Comparison.objects.filter(pk__gt=rejudging.cursor, pk__lte=rejudging.until)
    return list(rows.order_by("pk")[:at_most])


def _judge(
    rejudging: Rejudging, chunk: Sequence[Comparison], tallies: Mapping[str, Tally], now: datetime
) -> None:
    """Judge those of the launch, and correct all counts that they were part of."""
    launch = rejudging.launch
    comparisons = [one for one in chunk if one.launch == launch]
    known = find_launch(launch)
    if known is None or not comparisons:
        return
    roster = read_roster(known)
    asked_for = rules_by_id(rejudging.rules)
    rules = {version: compiled(asked_for, version) for version in _dark(roster)}
    pairs = list(judged_anew(comparisons, roster.control, rules))
    groups, signatures = Groups(launch, now), Signatures(launch)
    groups.find([pair.shown for pair in pairs], [pair.was for pair in pairs])
    members = [groups.count(pair.shown, pair.was) for pair in pairs]
    groups.save()
    changed = [
        (pair, found)
        for pair, found in zip(pairs, members, strict=True)
        if found != pair.was or pair.shown.judgement.outcome != pair.comparison.outcome
    ]
    _sign(signatures, changed)
    _correct_matrices(tallies, [pair for pair, _ in changed])
    rejudging.judged += sum(bool(found or p.was) for p, found in zip(pairs, members, strict=True))
    rejudging.changed += len(changed)
    for pair, _ in changed:
        pair.comparison.outcome = pair.shown.judgement.outcome
    Comparison.objects.bulk_update(
        [pair.comparison for pair, _ in changed], ["outcome", "signature", "members"]
    )


def _dark(roster: Roster) -> list[str]:
    return [version for version in roster.roles if version != roster.control]


def _sign(signatures: Signatures, changed: Sequence[tuple[StoredPair, Members]]) -> None:
    comparisons = [pair.comparison for pair, _ in changed]
    signatures.unsign(one.signature for one in comparisons if one.signature is not None)
    signed = signatures.sign([(pair.shown.version, found) for pair, found in changed])
    for comparison, how in zip(comparisons, signed, strict=True):
        comparison.signature, comparison.members = how.signature, how.members
    signatures.save()


def _correct_matrices(tallies: Mapping[str, Tally], pairs: Sequence[StoredPair]) -> None:
    for version in {pair.shown.version for pair in pairs} & tallies.keys():
        tally = tallies[version]
        matrix = Counter(tally.matrix)
        for pair in pairs:
            if pair.shown.version == version:
                states = pair.shown.control.state, pair.shown.ending.state
                matrix[cell(*states, Outcome(pair.comparison.outcome))] -= 1
                matrix[cell(*states, pair.shown.judgement.outcome)] += 1
        tally.matrix = {name: number for name, number in matrix.items() if number > 0}
        tally.save(update_fields=["matrix"])
