"""What a process that lasts tells Python's collector of garbage once it has started."""

from __future__ import annotations

import gc

#: Young objects, beyond which they are looked through: more than one batch of messages makes.
_YOUNG = 10_000


def keep_what_stands() -> None:
    """Leave what was made so far out of every later search for garbage.

    Libraries and settings are some sixty thousand objects that stay, which a full search walks
    through.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 5, 5)
