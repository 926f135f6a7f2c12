#!/usr/bin/env python
"""Django's command line for the restaurant and its dashboard."""

import os
import sys

try:
    from django.core.management import execute_from_command_line
except ImportError:
    print(
        f"Django is not installed for {sys.executable}: run .venv/bin/python manage.py, or, with "
        'the settings of `make run`, make manage ARGS="...".',
        file=sys.stderr,
    )
    sys.exit(os.EX_UNAVAILABLE)

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "restaurant.settings")
    execute_from_command_line(sys.argv)
