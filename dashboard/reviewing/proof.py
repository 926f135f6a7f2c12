"""Proof: whether a replay shows that a discrepancy is fixed, and if not, what it lacks."""

from __future__ import annotations

from dashboard.domain.decision import Decision
from dashboard.domain.outcome import Outcome
from dashboard.models import Discrepancy, Replay, ReplayState

_ANSWERED = (ReplayState.HANDLED, ReplayState.FAILED)


def missing_proof(discrepancy: Discrepancy, replay: Replay) -> str:
    """Why a replay does not show that a discrepancy is fixed, to a person; empty if it does."""
    if replay.discrepancy_id != discrepancy.pk:
        return "this replay is of another discrepancy"
    if replay.finished_at is None:
        return "this replay is not finished"
    reopened = discrepancy.reviews.filter(decision=Decision.OPEN).first()
    if reopened is not None and reopened.decided_at > replay.requested_at:
        return "the discrepancy was reopened after this replay was asked for; send again"
    return _missing_in_orders(replay) or _seen_again(discrepancy, replay)


def _missing_in_orders(replay: Replay) -> str:
    orders = replay.replayed_orders
    answered = orders.filter(state__in=_ANSWERED).count()
    if unanswered := orders.exclude(state__in=_ANSWERED).count():
        return f"{unanswered} of {unanswered + answered} orders were not answered"
    if not answered:
        return "no order was answered"
    if showing := orders.exclude(shows=False).count():
        return f"{showing} of {answered} orders still show it"
    if failed := orders.filter(outcome=Outcome.CANDIDATE_FAILED).count():
        return f"{failed} of {answered} orders failed, where the control handled them"
    return ""


def _seen_again(discrepancy: Discrepancy, replay: Replay) -> str:
    """The same build may have shown it to a live order since."""
    if discrepancy.last_seen_at <= replay.requested_at:
        return ""
    if not replay.replayed_orders.filter(build=discrepancy.last_build).exists():
        return ""
    return "a live order showed it in the same build after this replay was asked for"
