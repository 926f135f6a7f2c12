"""Makes the web server hand every body over as it came, so that our views judge it.

Twisted, under Daphne, parses the forms of a POST for itself before any application sees them. Its
result is never used, and a multipart body that it cannot read would be answered with an empty 400.
"""

from __future__ import annotations

from functools import partialmethod

from daphne.http_protocol import WebRequest


def hand_over_raw_bodies() -> None:
    """Teach Daphne, for this process; to do it twice is to do it once."""
    WebRequest.__init__ = partialmethod(_UNTAUGHT, parsePOSTFormSubmission=False)


_UNTAUGHT = WebRequest.__init__
