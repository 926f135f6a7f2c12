"""Installs missing Debian packages if possible; otherwise prints what to do.

``python3 -m local.install venv`` needs nothing but Python itself.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from local import postgres, rabbitmq

#: Runs as root. The packages' services stay disabled: we start our own, with their own directory
#: and ports.
_APT = r"""
set -eu
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -o DPkg::Lock::Timeout=300 update
apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@" >/dev/null
if [ -d /run/systemd/system ]; then
    for service in rabbitmq-server postgresql nginx; do
        case " $* " in *" $service "*) systemctl --quiet disable "$service" ;; esac
    done
fi
"""


class CannotInstall(RuntimeError):
    """Raised when missing packages can't be installed here; says what would help."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """A Debian package, and how to check that it is there."""

    package: str
    is_there: Callable[[], bool]


def _on_path(name: str) -> bool:
    """Whether a program exists, for this user or for root."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin") is not None


def _has_venv() -> bool:
    importlib.invalidate_caches()  # it may have just been installed
    return importlib.util.find_spec("ensurepip") is not None


def _has_library(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


VENV = Need(package=f"python3.{sys.version_info.minor}-venv", is_there=_has_venv)
RABBITMQ = Need(package="rabbitmq-server", is_there=lambda: rabbitmq.scripts() is not None)
POSTGRESQL = Need(package="postgresql", is_there=lambda: postgres.programs() is not None)
CHROMIUM = Need(package="chromium", is_there=partial(_on_path, "chromium"))
AMQP_TOOLS = Need(package="amqp-tools", is_there=partial(_on_path, "amqp-consume"))
#: Chromium's driver, which comes with Playwright, needs it.
ATOMIC = Need(package="libatomic1", is_there=partial(_has_library, "libatomic.so.1"))
NGINX = Need(package="nginx", is_there=partial(_on_path, "nginx"))
JQ = Need(package="jq", is_there=partial(_on_path, "jq"))
DEBOOTSTRAP = Need(package="debootstrap", is_there=partial(_on_path, "debootstrap"))

_PURPOSES = {
    "venv": (VENV,),
    "broker": (RABBITMQ,),
    "broker-tests": (RABBITMQ, AMQP_TOOLS, JQ),
    "database-tests": (RABBITMQ, POSTGRESQL),
    "browser-tests": (RABBITMQ, CHROMIUM, ATOMIC, NGINX),
}


def needs_of(purpose: str) -> tuple[Need, ...]:
    return _PURPOSES[purpose]


def install(needs: Iterable[Need]) -> None:
    """Install missing packages with apt; raises CannotInstall if that isn't possible."""
    missing = [need for need in needs if not need.is_there()]
    if not missing:
        return
    packages = [need.package for need in missing]
    named = " ".join(packages)
    prefix = _as_root()
    if prefix is None or not _on_path("apt-get"):
        raise CannotInstall(
            f"Missing: {named}. Install it, as in: sudo apt-get install {named}\n"
            "(Run by root, or by a user of passwordless sudo, on Debian or Ubuntu, "
            "this would have been done for you.)"
        )
    print(f"Installing {named} with apt ...", file=sys.stderr, flush=True)
    done = subprocess.run([*prefix, "sh", "-c", _APT, "sh", *packages], stdin=subprocess.DEVNULL)
    still_missing = [need.package for need in missing if not need.is_there()]
    if done.returncode or still_missing:
        raise CannotInstall(f"apt could not install {' '.join(still_missing) or named}; see above.")


def _as_root() -> list[str] | None:
    """The prefix that runs a command as root; None if we may not."""
    if os.geteuid() == 0:
        return []
    if not _on_path("sudo"):
        return None
    asked = subprocess.run(["sudo", "-n", "true"], stdin=subprocess.DEVNULL, capture_output=True)
    return ["sudo", "-n"] if asked.returncode == 0 else None


def main() -> int:
    """Install what the purposes on the command line need."""
    try:
        for purpose in sys.argv[1:]:
            install(needs_of(purpose))
    except CannotInstall as impossible:
        print(impossible, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
