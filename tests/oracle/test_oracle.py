"""The numbers of the recorded run stay as they are.

Where an issue wants other numbers, ``python -m tests.oracle record`` writes them, and the change of
``recorded.json`` shows which.
"""

from __future__ import annotations

import pytest

from tests.oracle import recording


@pytest.mark.django_db(transaction=True, reset_sequences=True)
def test_20_000_orders_give_the_numbers_that_were_recorded() -> None:
    found = recording.play()
    assert not (differing := recording.differing(recording.read(), found)), "\n".join(differing)
