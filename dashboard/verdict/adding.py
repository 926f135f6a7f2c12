"""What orders of one block add to its sums: worked out for all of them at once, by columns."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from operator import gt, lt

from dashboard.verdict.blocks import SCALE, BlockSums
from dashboard.verdict.paired_order import ANSWERED, TIMED, PairedOrder, Status, clipped_logs
from dashboard.verdict.signatures import class_of, signature
from dashboard.verdict.slow import slower_and_faster, times_of

_NS_PER_MS = 1_000_000
_OK, _MISSING = Status.OK, Status.MISSING
_FAILED = (Status.FAILED, Status.TIMEOUT)


def sums_of(orders: Sequence[PairedOrder], deadline_ms: float, threshold: int | None) -> BlockSums:
    """What usable orders add to their block; without a threshold, for any that may come."""
    sums = BlockSums(orders=len(orders), changes=len(orders))
    _add_ends(sums, orders)
    _add_times(sums, orders, deadline_ms, threshold)
    _add_differences(sums, orders)
    return sums


def _add_ends(sums: BlockSums, orders: Sequence[PairedOrder]) -> None:
    ends = Counter([(one.control.status, one.candidate.status) for one in orders])
    for (control, candidate), number in ends.items():
        if control in ANSWERED and candidate in ANSWERED:
            sums.answered += number
        if control is not _OK and candidate is _OK:
            sums.errors_neg += number
        if control is _OK and candidate is not _OK:
            sums.errors_pos += number
        if control is candidate is _MISSING:
            sums.missing_both += number
        elif control is _MISSING:
            sums.missing_neg += number
        elif candidate is _MISSING:
            sums.missing_pos += number
        sums.control_failed += number * (control in _FAILED)
        sums.candidate_failed += number * (candidate in _FAILED)
    baselines = [one.baseline.status for one in orders if one.baseline]
    sums.baseline_sent, sums.baseline_handled = len(baselines), baselines.count(_OK)
    sums.baseline_failed = sum(map(baselines.count, _FAILED))


def _add_times(
    sums: BlockSums, orders: Sequence[PairedOrder], deadline_ms: float, threshold: int | None
) -> None:
    """Add how long the control took, and both where both have a time."""
    controls, candidates, segments, alone = [], [], [], []
    for one in orders:
        control, candidate = one.control, one.candidate
        if control.status in TIMED:
            ms = control.capped_ms(deadline_ms)
            if candidate.status in TIMED:
                controls.append(ms)
                candidates.append(candidate.capped_ms(deadline_ms))
                segments.append(one.segments)
            else:
                alone.append(ms)
    times = _ns(controls), _ns(candidates)
    alone_ns = _ns(alone)
    sums.pairs, sums.control_ns, sums.candidate_ns = len(controls), *map(sum, times)
    sums.timed, sums.timed_ns = sums.pairs + len(alone), sums.control_ns + sum(alone_ns)
    sums.faster = sum(map(lt, candidates, controls))
    sums.slower = sum(map(gt, candidates, controls))
    if threshold is None:
        sums.times = times_of(*times, alone_ns)
    else:
        sums.slow_pos, sums.slow_neg = slower_and_faster(*times, threshold)
        sums.slow_of = sums.pairs
    logs = list(map(round, [one * SCALE for one in clipped_logs(controls, candidates)]))
    sums.log_ratio = sum(logs)
    _add_segments(sums, segments, logs)


def _ns(times_ms: Sequence[float]) -> list[int]:
    return list(map(round, [ms * _NS_PER_MS for ms in times_ms]))


def _add_segments(
    sums: BlockSums, segments: Sequence[tuple[str, ...]], logs: Sequence[int]
) -> None:
    by_name: defaultdict[str, list[int]] = defaultdict(list)
    for names, log in zip(segments, logs, strict=True):
        for name in names:
            by_name[name].append(log)
    sums.segment_pairs = {name: len(some) for name, some in by_name.items()}
    sums.segment_sums = {name: sum(some) for name, some in by_name.items()}


def _add_differences(sums: BlockSums, orders: Sequence[PairedOrder]) -> None:
    handled = [one for one in orders if one.control.status is one.candidate.status is _OK]
    compared = [one for one in handled if one.baseline and one.baseline.status is _OK]
    sums.handled, sums.compared = len(handled), len(compared)
    for shown, number in Counter([one.shown for one in handled if one.shown]).items():
        _count(sums.signatures, signature(shown), number)
    differing = [(one.shown, one.noise) for one in compared if one.shown or one.noise]
    for (shown, noise), number in Counter(differing).items():
        _count(sums.classes, class_of(shown, noise), number)
        for one in shown - noise:
            _count(sums.only_shown, str(one), number)
        for one in noise - shown:
            _count(sums.only_noise, str(one), number)


def _count(names: dict[str, int], name: str, number: int) -> None:
    names[name] = names.get(name, 0) + number
