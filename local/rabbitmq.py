"""Where RabbitMQ is installed, on this machine or in the root of another Debian, and a view of it
that starts faster.

Erlang looks for every module in every folder of the installation, and 40 of its 70 folders are
plugins that we do not use: without them a node starts in little more than half the time.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

#: The scripts as packaged; the wrappers on the path insist on the user `rabbitmq`.
_SCRIPTS = "usr/lib/rabbitmq/bin"
#: A part of the server itself, for all its name.
_NO_PLUGIN = "rabbitmq_prelaunch"
#: The machine's own root.
MACHINE = Path("/")

#: The mounts are in a namespace of the process's own and end with it: nothing to unmount, and
#: nobody who deletes the root later deletes through them.
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
    """The root in which RabbitMQ is to run: the one of RABBITMQ_ROOT, or the machine's own."""
    return Path(environ.get("RABBITMQ_ROOT") or MACHINE).resolve()


def in_root(root: Path, shared: Path, command: Sequence[str]) -> list[str]:
    """The command such that it runs in ``root``, where ``shared`` has the same path as outside.

    Only root may do so. The process keeps its number, and nothing else changes.
    """
    if root == MACHINE:
        return list(command)
    return ["unshare", "--mount", "sh", "-c", _IN_ROOT, "sh", str(root), str(shared), *command]


def scripts(root: Path = MACHINE) -> Path | None:
    """The directory of RabbitMQ's own scripts, or None where RabbitMQ is not installed."""
    found = root / _SCRIPTS
    return found if (found / "rabbitmq-server").exists() else None


def version(root: Path = MACHINE) -> str | None:
    """The version of the installed RabbitMQ, as its Debian package names its directory."""
    installed = scripts(root)
    if installed is None:
        return None
    return (installed / "rabbitmq-server").resolve().parent.parent.name.partition("-")[2] or None


def server_script(directory: Path, *, plugins: Collection[str], root: Path = MACHINE) -> Path:
    """Lay out a RabbitMQ in ``directory`` that has these plugins alone; gives its server script.

    The scripts are copied, since they look for the rest beside the place where they really are.
    """
    installed = scripts(root)
    if installed is None:
        raise FileNotFoundError(f"RabbitMQ is not installed in {root}.")
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
            (directory / "plugins" / part.name).symlink_to(MACHINE / part.relative_to(root))
    return directory / "sbin" / server.name
