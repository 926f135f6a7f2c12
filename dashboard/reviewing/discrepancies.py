"""The discrepancies of a launch by weight, each beside its noise, and what they come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, Subquery

from dashboard.domain.comparing.judgement import Group, GroupKind
from dashboard.domain.decision import ACCEPTED, Decision
from dashboard.models import Comparison, Discrepancy, Example, Signature, Tally
from dashboard.observing.signatures import Members
from kitchen_worker.contract.messages import Role
from restaurant.models import DarkVersion, Launch

#: Bugs of earlier launches that are looked through, the newest.
_MAX_CARRIED = 500
#: Signatures that are asked for their orders in one query: SQLite takes 500.
_AT_ONCE = 400
_LOOK = (
    'SELECT * FROM (SELECT "id", "order" FROM "dashboard_comparison"'
    ' WHERE "signature" >= %s AND "signature" <= %s'
    ' ORDER BY "signature", "id" DESC LIMIT %s) AS "one"'
)


@dataclass(frozen=True)
class Row:
    """A discrepancy as it is listed: how often, and how often the baseline shows the same."""

    discrepancy: Discrepancy
    #: Pairs of its version in the launch that is looked at.
    pairs: int
    #: Pairs of the baselines, and those of them that show the same.
    noise_pairs: int
    noise_count: int
    #: A bug of an earlier launch that this one has not shown yet.
    carried: bool = False
    #: False for a baseline's, which is noise and counts against nobody.
    of_candidate: bool = True
    #: Its version's place among the launch's versions, of which the control is the first.
    place: int | None = None

    @property
    def count(self) -> int:
        """Pairs of the launch that show it, and that no rule ignores."""
        return 0 if self.carried else self.discrepancy.count

    @property
    def rate(self) -> float | None:
        """The part of the version's pairs that show it."""
        return _rate(self.count, self.pairs)

    @property
    def noise_rate(self) -> float | None:
        """The part of the baseline's pairs that show the same; None while there are none."""
        return _rate(self.noise_count, self.noise_pairs)

    @property
    def counts_against(self) -> bool:
        """Whether the pairs that show it count against the version."""
        return self.of_candidate and self.count > 0 and self.discrepancy.state not in ACCEPTED

    @property
    def waits(self) -> bool:
        """Whether it is open work though no pair counts: a bug that the launch does not show."""
        return self.of_candidate and not self.count and self.discrepancy.state == Decision.BUG


def _rate(count: int, pairs: int) -> float | None:
    return count / pairs if pairs else None


def listed(
    launch: UUID,
    version: str = "",
    *,
    states: Collection[Decision] = (),
    kind: str = "",
    text: str = "",
    at_most: int = 200,
) -> list[Row]:
    """What a launch shows, what counts against the version first, by number of pairs; then bugs
    that it does not show, among them those of earlier launches; last what is decided or ignored.

    Of one version, or of all candidates; of these states, this kind, with this text in its path.
    """
    roles = _roles(launch)
    versions = [version] if version else _of(roles, Role.CANDIDATE)
    baselines = _of(roles, Role.BASELINE)
    shown = list(Discrepancy.objects.filter(launch=launch, version__in={*versions, *baselines}))
    scale = _Scale.of(launch, roles, [row for row in shown if row.version in baselines])
    rows = [scale.weigh(row) for row in shown if row.version in versions and _is_there(row)]
    rows += [scale.weigh(row, carried=True) for row in _carried(launch, versions)]
    asked = [
        row
        for row in rows
        if (not states or row.discrepancy.state in states)
        and (not kind or row.discrepancy.kind == kind)
        and text.casefold() in row.discrepancy.path.casefold()
    ]
    return sorted(asked, key=_weight)[:at_most]


def row_of(discrepancy: Discrepancy) -> Row:
    """One discrepancy as it is listed in its own launch."""
    return next(rows_of([discrepancy]))


def rows_of(discrepancies: Iterable[Discrepancy]) -> Iterator[Row]:
    """Discrepancies as they are listed, each in its own launch; each launch is read once."""
    scales: dict[UUID, _Scale] = {}
    for row in discrepancies:
        if row.launch not in scales:
            roles = _roles(row.launch)
            baselines = _of(roles, Role.BASELINE)
            noise = Discrepancy.objects.filter(launch=row.launch, version__in=baselines)
            scales[row.launch] = _Scale.of(row.launch, roles, noise)
        yield scales[row.launch].weigh(row)


def is_carried(launch: UUID, row: Discrepancy) -> bool:
    """Whether it is a bug of an earlier launch which this one has not shown yet."""
    if row.state != Decision.BUG or row.launch == launch:
        return False
    candidates = _of(_roles(launch), Role.CANDIDATE)
    return row.version in candidates and row in _carried(launch, [row.version])


def open_count(launch: UUID) -> int:
    """How many discrepancies of the candidates wait for somebody: undecided, or bugs."""
    candidates = DarkVersion.objects.filter(launch=launch, role=Role.CANDIDATE)
    versions = candidates.values("version")
    waiting = Q(state=Decision.BUG) | Q(state=Decision.OPEN, count__gt=0)
    own = Discrepancy.objects.filter(waiting, launch=launch, version__in=versions)
    return own.count() + len(_carried(launch, versions))


def against(launch: UUID, version: str) -> int:
    """How many pairs count against a version: they show something that nobody has accepted.

    Of a folded signature's pairs it is only known that they differ: all count while anything of
    the version's does.
    """
    rows = Discrepancy.objects.filter(launch=launch, version=version, count__gt=0)
    standing = set(rows.exclude(state__in=ACCEPTED).values_list("pk", flat=True))
    if not standing:
        return 0
    signatures = Signature.objects.filter(launch=launch, version=version, pairs__gt=0)
    return sum(
        pairs
        for counted, folded, pairs in signatures.values_list("counted", "folded", "pairs")
        if folded or not standing.isdisjoint(counted)
    )


def orders_of(discrepancy: Discrepancy, at_most: int) -> list[UUID]:
    """The newest orders whose pair shows it; while none counts, those where a rule ignores it."""
    column = "counted" if discrepancy.count else "ignored"
    rows = Signature.objects.filter(launch=discrepancy.launch, version=discrepancy.version)
    members = rows.filter(pairs__gt=0, folded=False).values_list("pk", column)
    signatures = [pk for pk, shown in members if discrepancy.pk in shown]
    found = _signed(signatures, at_most)
    if len(found) < at_most:
        found += _folded(discrepancy, column)
    found.sort(reverse=True)
    return [order for _, order in found[:at_most]]


@dataclass(frozen=True)
class _Scale:
    """What the discrepancies of a launch are held against."""

    roles: Mapping[str, Role]
    pairs: Mapping[str, int]
    #: Pairs of the baselines that show a group.
    noise: Mapping[Group, int]

    @classmethod
    def of(cls, launch: UUID, roles: Mapping[str, Role], noise: Iterable[Discrepancy]) -> _Scale:
        pairs = Tally.objects.filter(launch=launch).values_list("version", "pairs")
        counts: Counter[Group] = Counter()
        for row in noise:
            counts[_group(row)] += row.count
        return cls(roles, dict(pairs), counts)

    def weigh(self, row: Discrepancy, *, carried: bool = False) -> Row:
        baselines = _of(self.roles, Role.BASELINE)
        return Row(
            discrepancy=row,
            pairs=self.pairs.get(row.version, 0),
            noise_count=self.noise.get(_group(row), 0),
            noise_pairs=sum(self.pairs.get(version, 0) for version in baselines),
            carried=carried,
            of_candidate=self.roles.get(row.version) is not Role.BASELINE,
            place=next((at for at, of in enumerate(self.roles, 1) if of == row.version), None),
        )


def _group(row: Discrepancy) -> Group:
    return Group(GroupKind(row.kind), row.path)


def _is_there(row: Discrepancy) -> bool:
    """Whether there is anything to say of it: a judgement of the past may have emptied it."""
    return bool(row.count or row.ignored or row.state != Decision.OPEN)


def _weight(row: Row) -> tuple[bool, bool, int, int, int]:
    one = row.discrepancy
    return not row.counts_against, not row.waits, -row.count, -one.ignored, one.pk


def _roles(launch: UUID) -> dict[str, Role]:
    """The dark versions of a launch, in the order in which they stand everywhere."""
    rows = DarkVersion.objects.filter(launch=launch).values_list("version", "role")
    return {version: Role(role) for version, role in rows}


def _of(roles: Mapping[str, Role], role: Role) -> list[str]:
    return [version for version, of in roles.items() if of is role]


def _carried(launch: UUID, versions: Iterable[object]) -> list[Discrepancy]:
    """Bugs of these versions in earlier launches which this one has not shown, and no launch since
    has decided otherwise; each group once, as the newest of them."""
    started_at = Launch.objects.filter(pk=launch).values("started_at")
    earlier = Launch.objects.filter(started_at__lt=Subquery(started_at)).values("pk")
    same = Discrepancy.objects.filter(
        version=OuterRef("version"), kind=OuterRef("kind"), path=OuterRef("path")
    )
    bugs = Discrepancy.objects.filter(
        ~Exists(same.filter(launch=launch)),
        ~Exists(same.filter(pk__gt=OuterRef("pk")).exclude(state=Decision.BUG)),
        state=Decision.BUG,
        version__in=versions,
        launch__in=earlier,
    )
    newest: dict[tuple[str, Group], Discrepancy] = {}
    for row in bugs.order_by("-pk")[:_MAX_CARRIED]:
        newest.setdefault((row.version, _group(row)), row)
    return list(newest.values())


def _signed(signatures: Sequence[int], at_most: int) -> list[tuple[int, UUID]]:
    """The newest pairs of some signatures: in one query a look into the index for each of them.

    Each is ordered as the index is: otherwise PostgreSQL may expect some soon, and walk by the ids.
    """
    found: list[tuple[int, UUID]] = []
    for start in range(0, len(signatures), _AT_ONCE):
        some = signatures[start : start + _AT_ONCE]
        looks = " UNION ALL ".join([_LOOK] * len(some))
        params = [value for pk in some for value in (pk, pk, at_most)]
        found += [(row.pk, row.order) for row in Comparison.objects.raw(looks, params)]
    return sorted(found, reverse=True)[:at_most]


def _folded(discrepancy: Discrepancy, column: str) -> list[tuple[int, UUID]]:
    """Those of the examples whose signature is folded, and which show it still."""
    orders = Example.objects.filter(discrepancy=discrepancy).values("order")
    rows = Comparison.objects.filter(version=discrepancy.version, order__in=orders)
    return [
        (pk, order)
        for pk, order, members in rows.exclude(members="").values_list("id", "order", "members")
        if discrepancy.pk in getattr(Members.read(members), column)
    ]
