"""The settings of `make run`: the given environment over a developer's defaults.

Secrets are generated at the first run and kept in `.run/`, readable by this user only.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO_USER = "demo"
#: The private node's directory, inside the run's.
BROKER = "broker"

_DEFAULTS = {
    "DJANGO_SETTINGS_MODULE": "restaurant.settings",
    "HOST": "127.0.0.1",
    "PORT": "8000",
    # On a developer's machine the board is public, and missing answers and verdicts come soon.
    "BOARD_PUBLIC": "1",
    "DEADLINE_SECONDS": "5",
    "BLOCK_SECONDS": "1",
    "WARM_UP_SECONDS": "5",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True, kw_only=True)
class Secrets:
    secret_key: str
    demo_password: str


def run_directory(given: Mapping[str, str]) -> Path:
    """The directory for everything that `make run` creates: RUN_DIRECTORY, or `.run`."""
    return Path(given.get("RUN_DIRECTORY") or ROOT / ".run").resolve()


def kept_secrets(directory: Path) -> Secrets:
    """The directory's secrets; generated if there are none."""
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
    """The environment of all processes of `make run`; given, non-empty values win."""
    directory = run_directory(given)
    made = {
        "SECRET_KEY": kept_secrets(directory).secret_key,
        "DATABASE_URL": f"sqlite:///{directory / 'dark-kitchen.sqlite3'}",
        "STATIC_ROOT": str(directory / "static"),
    }
    return _DEFAULTS | made | {name: value for name, value in given.items() if value.strip()}
