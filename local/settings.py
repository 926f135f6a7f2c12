"""The settings of `make run`: the given environment, over a developer's defaults.

The secrets are made at the first run and kept in `.run/`, which nobody else can read.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO_USER = "demo"
#: Where the private node lives, in the directory of the run.
BROKER = "broker"

_DEFAULTS = {
    "DJANGO_SETTINGS_MODULE": "restaurant.settings",
    "HOST": "127.0.0.1",
    "PORT": "8000",
    # On a machine of one's own, everybody may look, and an answer is soon missed, and
    # a verdict soon given.
    "BOARD_PUBLIC": "1",
    "DEADLINE_SECONDS": "5",
    "BLOCK_SECONDS": "1",
    "WARM_UP_SECONDS": "5",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """What `make run` keeps to itself, from one run to the next."""

    secret_key: str
    demo_password: str


def run_directory(given: Mapping[str, str]) -> Path:
    """Where `make run` keeps what it makes: in `.run`, or in the RUN_DIRECTORY that is given."""
    return Path(given.get("RUN_DIRECTORY") or ROOT / ".run").resolve()


def kept_secrets(directory: Path) -> Secrets:
    """The secrets of a directory; made when there are none yet."""
    file = directory / "secrets.json"
    directory.mkdir(mode=0o700, exist_ok=True)
    try:
        return Secrets(**json.loads(file.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        made = Secrets(secret_key=secrets.token_urlsafe(50), demo_password=secrets.token_urlsafe(9))
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_text(json.dumps(asdict(made)))
        return made


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment of every process of `make run`; what is given counts, unless it is empty."""
    directory = run_directory(given)
    made = {
        "SECRET_KEY": kept_secrets(directory).secret_key,
        "DATABASE_URL": f"sqlite:///{directory / 'dark-kitchen.sqlite3'}",
        "STATIC_ROOT": str(directory / "static"),
    }
    return _DEFAULTS | made | {name: value for name, value in given.items() if value.strip()}
