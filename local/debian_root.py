"""The root of another Debian with its RabbitMQ, created once by debootstrap and kept in `.run/`.

See BrokerNode.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from local.install import DEBOOTSTRAP, CannotInstall, install
from local.rabbitmq import scripts
from local.settings import ROOT

#: Time limit for creating it; with a nearby mirror it takes less than a minute.
LIMIT_S = 900.0
_ROOTS = ROOT / ".run" / "debian"

#: In its own namespace, so that no mount is left if it is killed; all or nothing.
_MAKE = """
set -eu
suite=$1 mirror=$2 made=$3
rm -rf "$made.part"
mkdir -p "$made.part"
debootstrap --variant=minbase --include=rabbitmq-server "$suite" "$made.part" "$mirror"
rm -rf "$made" "$made.part/var/cache/apt/archives"
mv "$made.part" "$made"
"""


def debian_root(suite: str) -> Path:
    """The root of the Debian ``suite``, created if it doesn't exist; raises CannotInstall."""
    _check_we_may()
    made = _ROOTS / suite
    if scripts(made) is None:
        install([DEBOOTSTRAP])
        _make(suite, made)
    return made


def _check_we_may() -> None:
    if os.geteuid() != 0:
        raise CannotInstall(
            "A RabbitMQ of another Debian is made by debootstrap and started by chroot, which only "
            "root may do: run this as root, as in: sudo make test-brokers"
        )
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True)
    if tried.returncode:
        raise CannotInstall(
            f"Root may not mount anything here, so no other Debian runs: {tried.stderr.strip()}"
        )


def _make(suite: str, made: Path) -> None:
    print(f"Making a Debian {suite} with RabbitMQ in {made} ...", file=sys.stderr, flush=True)
    made.parent.mkdir(parents=True, exist_ok=True)
    log = made.parent / f"{suite}.log"
    with log.open("wb") as output:
        try:
            done = subprocess.run(
                ["unshare", "--mount", "sh", "-c", _MAKE, "sh", suite, _mirror(), str(made)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=LIMIT_S,
            )
        except subprocess.TimeoutExpired:
            raise CannotInstall(f"debootstrap took longer than {LIMIT_S:g} s; see {log}") from None
    if done.returncode or scripts(made) is None:
        raise CannotInstall(f"debootstrap could not make a Debian {suite}; see {log}")


def _mirror() -> str:
    """DEBIAN_MIRROR, or the mirror that apt uses."""
    given = os.environ.get("DEBIAN_MIRROR", "").strip()
    if given:
        return given
    asked = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN) $(CODENAME) $(REPO_URI)",
         "Created-By: Packages"],
        capture_output=True,
        text=True,
    )  # fmt: skip
    for line in asked.stdout.splitlines():
        origin, _, rest = line.partition(" ")
        codename, _, uri = rest.partition(" ")
        if origin == "Debian" and "-" not in codename:  # neither -security nor -updates
            return uri
    raise CannotInstall(
        "apt knows no Debian mirror here (has `apt-get update` run?). "
        "Set DEBIAN_MIRROR to the URL of one."
    )
