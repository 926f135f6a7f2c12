"""What a person decides on a discrepancy, and what then no longer counts against the version."""

from __future__ import annotations

from enum import StrEnum


class Decision(StrEnum):
    """A decision on a discrepancy; ``open`` takes one back."""

    OPEN = "open"
    BUG = "bug"
    BY_DESIGN = "by_design"
    NOISE = "noise"
    #: On evidence: a later build agreed on the orders that had shown it.
    FIXED = "fixed"


#: What no longer counts against the version.
ACCEPTED = frozenset({Decision.BY_DESIGN, Decision.NOISE, Decision.FIXED})
