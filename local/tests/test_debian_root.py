"""The root of another Debian: from the mirror that apt uses, by root alone, whole or not at all."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from local import debian_root as module
from local.debian_root import debian_root
from local.install import CannotInstall
from local.rabbitmq import MACHINE, given_root, in_root, server_script, version

_FAILS = "#!/bin/sh\necho no such mirror >&2\nexit 1\n"


def _program(directory: Path, name: str, script: str) -> None:
    path = directory / name
    path.write_text(script)
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of programs that are found first."""
    directory = tmp_path / "programs"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("DEBIAN_MIRROR", raising=False)
    monkeypatch.setattr(module, "_ROOTS", tmp_path / "roots")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    _program(directory, "unshare", '#!/bin/sh\nshift\nexec "$@"\n')
    return directory


def _apt_knows(programs: Path, *lines: str) -> None:
    printed = "\n".join(lines)
    _program(programs, "apt-get", f"#!/bin/sh\ncat <<'end'\n{printed}\nend\n")


def _a_rabbitmq(root: Path, release: str) -> str:
    """Shell that lays out in ``root`` what the Debian package does."""
    return f"""
bin={root}/usr/lib/rabbitmq/bin
server={root}/usr/lib/rabbitmq/lib/rabbitmq_server-{release}
mkdir -p $bin $server/sbin $server/plugins/rabbit-{release} $server/plugins/rabbitmq_mqtt-{release}
touch $server/sbin/rabbitmq-server
ln -s ../lib/rabbitmq_server-{release}/sbin/rabbitmq-server $bin/rabbitmq-server
"""


def test_the_root_is_made_once_from_the_mirror_that_apt_uses_for_debian_itself(
    programs: Path, tmp_path: Path
) -> None:
    _apt_knows(
        programs,
        "Somebody trixie https://else.example/apt/",
        "Debian trixie-security https://mirror.example/security/",
        "Debian bookworm https://mirror.example/debian/",
    )
    asked = tmp_path / "asked"
    make = _a_rabbitmq(Path("$made"), "4.0.5")
    script = f'#!/bin/sh\necho "$@" >> {asked}\nmade=$4\n{make}'
    _program(programs, "debootstrap", script)
    made = debian_root("trixie")
    assert debian_root("trixie") == made
    assert version(made) == "4.0.5"
    (line,) = asked.read_text().splitlines()
    assert line.split()[:3] == ["--variant=minbase", "--include=rabbitmq-server", "trixie"]
    assert line.split()[4] == "https://mirror.example/debian/"


def test_a_root_that_could_not_be_made_is_not_there(programs: Path) -> None:
    _apt_knows(programs, "Debian bookworm https://mirror.example/debian/")
    _program(programs, "debootstrap", _FAILS)
    with pytest.raises(CannotInstall, match=r"debootstrap could not make a Debian trixie; see .*"):
        debian_root("trixie")
    assert (module._ROOTS / "trixie.log").read_text() == "no such mirror\n"
    assert not (module._ROOTS / "trixie").exists()


def test_without_a_debian_mirror_the_error_names_the_setting(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _apt_knows(programs, "Ubuntu noble https://mirror.example/ubuntu/")
    _program(programs, "debootstrap", _FAILS)
    with pytest.raises(CannotInstall, match="Set DEBIAN_MIRROR"):
        debian_root("trixie")
    monkeypatch.setenv("DEBIAN_MIRROR", "https://mirror.example/debian/")
    with pytest.raises(CannotInstall, match="debootstrap could not make"):
        debian_root("trixie")


def test_a_user_who_is_not_root_gets_the_way_out_before_anything_is_done(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(CannotInstall, match="sudo make test-brokers"):
        debian_root("trixie")
    assert not module._ROOTS.exists()


def test_root_without_the_right_to_mount_gets_the_reason(programs: Path) -> None:
    _program(programs, "unshare", "#!/bin/sh\necho unshare failed: not permitted >&2\nexit 1\n")
    with pytest.raises(CannotInstall, match="unshare failed: not permitted"):
        debian_root("trixie")


def test_a_layout_for_a_root_leads_to_its_parts_as_they_are_seen_in_there(tmp_path: Path) -> None:
    root, node = tmp_path / "root", tmp_path / "node"
    subprocess.run(["sh", "-c", _a_rabbitmq(root, "4.0.5")], check=True)
    assert server_script(node, plugins=(), root=root) == node / "sbin" / "rabbitmq-server"
    (part,) = (node / "plugins").iterdir()
    inside = "/usr/lib/rabbitmq/lib/rabbitmq_server-4.0.5/plugins/rabbit-4.0.5"
    assert str(part.readlink()) == inside


def test_the_machines_own_rabbitmq_runs_as_it_always_did(tmp_path: Path) -> None:
    assert given_root({}) == given_root({"RABBITMQ_ROOT": ""}) == MACHINE
    assert given_root({"RABBITMQ_ROOT": str(tmp_path)}) == tmp_path
    assert in_root(MACHINE, tmp_path, ["epmd", "-kill"]) == ["epmd", "-kill"]
