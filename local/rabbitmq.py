"""Finds the installed RabbitMQ, and lays out a copy that starts faster.

Erlang searches every folder of the installation for every module, and 40 of its 70 folders are
unused plugins: without them a node starts in little more than half the time.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

#: The scripts as packaged; the wrappers on the path insist on the user `rabbitmq`.
_SCRIPTS = "usr/lib/rabbitmq/bin"
#: Part of the server itself, despite its name.
_NO_PLUGIN = "rabbitmq_prelaunch"
#: The machine's own root.
MACHINE = Path("/")

#: The mounts are in the process's own namespace and end with it: nothing to unmount, and deleting
#: the root later can't delete through them.
_IN_ROOT = """
set -eu
root=$1 shared=$2
shift 2
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mkdir -p "$root$shared"
mount --bind "$shared" "$root$shared"
exec chroot "$root" "$@"
"""


def given_root(environ: Mapping[str, str]) -> Path:
    """RABBITMQ_ROOT, or the machine's own root."""
    return Path(environ.get("RABBITMQ_ROOT") or MACHINE).resolve()


def in_root(root: Path, shared: Path, command: Sequence[str]) -> list[str]:
    """The command, such that it runs in ``root``, where ``shared`` has the same path.

    Only root may do this. The process keeps its id.
    """
    if root == MACHINE:
        return list(command)
    return ["unshare", "--mount", "sh", "-c", _IN_ROOT, "sh", str(root), str(shared), *command]


def scripts(root: Path = MACHINE) -> Path | None:
    """The directory of RabbitMQ's own scripts; None if RabbitMQ isn't installed."""
    found = root / _SCRIPTS
    return found if (found / "rabbitmq-server").exists() else None


def version(root: Path = MACHINE) -> str | None:
    """The installed RabbitMQ's version, from its directory's name."""
    installed = scripts(root)
    if installed is None:
        return None
    return (installed / "rabbitmq-server").resolve().parent.parent.name.partition("-")[2] or None


def server_script(directory: Path, *, plugins: Collection[str], root: Path = MACHINE) -> Path:
    """Lay out a RabbitMQ in ``directory`` with only these plugins; returns its server script.

    The scripts are copied, because they look for the rest relative to their real path.
    """
    installed = scripts(root)
    if installed is None:
        raise FileNotFoundError(f"RabbitMQ is not installed in {root}.")
    server = (installed / "rabbitmq-server").resolve()
    parts = server.parent.parent / "plugins"
    if not parts.is_dir() or " " in str(directory):
        return server  # unknown layout, or unsuitable for its scripts: use it as it is
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(server.parent, directory / "sbin")
    (directory / "plugins").mkdir()
    for part in parts.iterdir():
        name = part.name.partition("-")[0].removesuffix(".ez")
        if not name.startswith("rabbitmq_") or name in (_NO_PLUGIN, *plugins):
            (directory / "plugins" / part.name).symlink_to(MACHINE / part.relative_to(root))
    return directory / "sbin" / server.name
