"""``python -m tests.oracle record``: plays the run on a new database and records its numbers."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from pathlib import Path

import django
from django.core.management import call_command


def main(words: list[str]) -> int:
    """Record, or say how."""
    if words != ["record"]:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    os.environ["LOG_LEVEL"] = "ERROR"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DATABASE_URL"] = f"sqlite:///{Path(folder) / 'oracle.sqlite3'}"
        django.setup()
        call_command("migrate", verbosity=0)
        # It knows models, which Django can load by now.
        recording = importlib.import_module("tests.oracle.recording")
        recording.write(recording.play())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
