"""The product's settings as its tests and the type checker load them: with a key of no value."""

from __future__ import annotations

import os

os.environ.setdefault("SECRET_KEY", "a key that is long enough and used in tests only")

from restaurant.settings import *  # noqa: F403
