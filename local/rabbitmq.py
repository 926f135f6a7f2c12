"""Where RabbitMQ is installed, and a view of it that starts faster.

Erlang looks for every module in every folder of the installation, and 40 of its 70 folders are
plugins that we do not use: without them a node starts in little more than half the time.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

#: The scripts as packaged; the wrappers on the path insist on the user `rabbitmq`.
_SCRIPT_DIRECTORIES = ("/usr/lib/rabbitmq/bin", "/opt/homebrew/sbin", "/usr/local/sbin")
#: A part of the server itself, for all its name.
_NO_PLUGIN = "rabbitmq_prelaunch"


def scripts() -> Path | None:
    """The directory of RabbitMQ's own scripts, or None where RabbitMQ is not installed."""
    for directory in _SCRIPT_DIRECTORIES:
        if (Path(directory) / "rabbitmq-server").exists():
            return Path(directory)
    return None


def server_script(directory: Path, *, plugins: Collection[str]) -> Path:
    """Lay out a RabbitMQ in ``directory`` that has these plugins alone; gives its server script.

    The scripts are copied, since they look for the rest beside the place where they really are.
    """
    installed = scripts()
    if installed is None:
        raise FileNotFoundError("RabbitMQ is not installed on this machine.")
    server = (installed / "rabbitmq-server").resolve()
    parts = server.parent.parent / "plugins"
    if not parts.is_dir() or " " in str(directory):
        return server  # not laid out as we know it, or too much for its scripts: as it is
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(server.parent, directory / "sbin")
    (directory / "plugins").mkdir()
    for part in parts.iterdir():
        name = part.name.partition("-")[0].removesuffix(".ez")
        if not name.startswith("rabbitmq_") or name in (_NO_PLUGIN, *plugins):
            (directory / "plugins" / part.name).symlink_to(part)
    return directory / "sbin" / server.name
