"""The numbers of the recorded run stay as they are.

Where an issue wants other numbers, ``python -m tests.oracle record`` writes them, and the change of
``recorded.json`` shows which.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oracle import recording


@pytest.mark.django_db(transaction=True, reset_sequences=True)
def test_20_000_orders_give_the_numbers_that_were_recorded_and_once_more_when_rebuilt(
    tmp_path: Path,
) -> None:
    found, rebuilt = recording.play_and_rebuild(tmp_path / "recording")
    again = recording.differing(found[recording.LAST], rebuilt)
    assert not again, "\n".join(again)
    assert not (differing := recording.differing(recording.read(), found)), "\n".join(differing)
