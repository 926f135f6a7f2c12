"""The product's settings as its tests and the type checker load them: with a key of no value."""

from __future__ import annotations

import os

os.environ.setdefault("SECRET_KEY", "a key that is long enough and used in tests only")
# Every client of a test has the same address.
for limit in ("ORDERS_PER_MINUTE", "LOGINS_PER_MINUTE", "SOCKETS_PER_CLIENT"):
    os.environ.setdefault(limit, "0")

from restaurant.settings import *  # noqa: E402, F403

# Of tests alone: a password is hashed at once.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
