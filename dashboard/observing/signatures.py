"""Signatures: how many pairs show just these discrepancies, so that a decision counts at once."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from uuid import UUID

import msgspec

from dashboard.models import Comparison, Signature
from dashboard.models.reading import among, read_objects
from restaurant.rows import run_for_each

#: Signatures of one version in one launch, the folded one not counted.
MAX_SIGNATURES = 500
_FOLDED_KEY = "folded"
_ADD = """
UPDATE dashboard_signature
SET pairs = CASE WHEN pairs + %s < 0 THEN 0 ELSE pairs + %s END WHERE id = %s
"""


class Members(msgspec.Struct, frozen=True):
    """The ids of the discrepancies that a pair shows: those that count, and the ignored ones."""

    counted: frozenset[int] = frozenset()
    ignored: frozenset[int] = frozenset()

    @classmethod
    def read(cls, text: str) -> Members:
        """What ``text`` wrote."""
        counted, ignored = json.loads(text)
        return cls(frozenset(counted), frozenset(ignored))

    @property
    def all(self) -> frozenset[int]:
        """Every discrepancy that the pair shows."""
        return self.counted | self.ignored

    @property
    def text(self) -> str:
        """The same as text: one for each set of members."""
        return json.dumps([sorted(self.counted), sorted(self.ignored)], separators=(",", ":"))

    def __bool__(self) -> bool:
        return bool(self.counted or self.ignored)


class Signed(msgspec.Struct, frozen=True):
    """How a pair is signed: the columns of its comparison."""

    signature: int | None = None
    #: The members as text, where the signature is the folded one.
    members: str = ""


@dataclass
class Signatures:
    """The signatures of one launch, as far as a batch of pairs concerns them."""

    launch: UUID
    _found: dict[tuple[str, str], Signature] = field(default_factory=dict)
    _added: Counter[int] = field(default_factory=Counter)

    def sign(self, pairs: Iterable[tuple[str, Members]]) -> list[Signed]:
        """Count pairs, each of a version and with what it shows; gives how each is signed."""
        pairs = list(pairs)
        self._find({(version, _key(members)): members for version, members in pairs if members})
        return [self._sign(version, members) for version, members in pairs]

    def unsign(self, signatures: Iterable[int]) -> None:
        """Take pairs back that were counted before."""
        self._added.subtract(signatures)

    def save(self) -> None:
        """Write the counts."""
        added = [(number, pk) for pk, number in sorted(self._added.items()) if number]
        run_for_each(_ADD, [(number, number, pk) for number, pk in added])
        self._added.clear()

    def _sign(self, version: str, members: Members) -> Signed:
        if not members:
            return Signed()
        row = self._found.get((version, _key(members))) or self._found[version, _FOLDED_KEY]
        self._added[row.pk] += 1
        return Signed(row.pk, members.text if row.folded else "")

    def _find(self, wanted: dict[tuple[str, str], Members]) -> None:
        if not wanted:
            return
        versions = {version for version, _ in wanted}
        keys = {key for _, key in wanted} | {_FOLDED_KEY}
        where = f"launch = %s AND {among('version', versions)} AND {among('key', keys)}"
        rows = read_objects(Signature, where, [self.launch.hex, *versions, *keys])
        self._found = {(row.version, row.key): row for row in rows}
        for version in {version for version, key in wanted if (version, key) not in self._found}:
            self._make(version, wanted)

    def _make(self, version: str, wanted: dict[tuple[str, str], Members]) -> None:
        """Make a version's new signatures, as many as there is room for."""
        room = (
            MAX_SIGNATURES
            - Signature.objects.filter(launch=self.launch, version=version, folded=False).count()
        )
        new = sorted(key for of, key in wanted if of == version and (of, key) not in self._found)
        rows = [
            Signature(
                launch=self.launch,
                version=version,
                key=key,
                counted=sorted(wanted[version, key].counted),
                ignored=sorted(wanted[version, key].ignored),
            )
            for key in new[: max(0, room)]
        ]
        if len(rows) < len(new) and (version, _FOLDED_KEY) not in self._found:
            rows.append(
                Signature(launch=self.launch, version=version, key=_FOLDED_KEY, folded=True)
            )
        for row in Signature.objects.bulk_create(rows):
            self._found[version, row.key] = row


@lru_cache(maxsize=4096)
def _key(members: Members) -> str:
    return hashlib.sha256(members.text.encode()).hexdigest()


def stored_members(pairs: Collection[tuple[UUID, str]]) -> dict[tuple[UUID, str], Members]:
    """What stored pairs show, by order and version; those that show nothing are left out."""
    if not pairs:
        return {}
    rows = Comparison.objects.filter(
        order__in={order for order, _ in pairs},
        version__in={version for _, version in pairs},
        signature__isnull=False,
    )
    found = list(rows.values_list("order", "version", "signature", "members"))
    signatures = Signature.objects.in_bulk({signature for _, _, signature, _ in found})
    return {
        (order, version): Members.read(members)
        if members
        else Members(
            frozenset(signatures[signature].counted), frozenset(signatures[signature].ignored)
        )
        for order, version, signature, members in found
        if (order, version) in pairs and signature is not None
    }
