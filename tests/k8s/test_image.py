"""Holds the Dockerfile to its rules, and does by hand what its lines do to the code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.k8s.rendering import ROOT, WITH, own_containers

pytestmark = pytest.mark.kubernetes


class Instruction(NamedTuple):
    """One instruction of the Dockerfile."""

    stage: int
    word: str
    rest: str


def _instructions() -> Iterator[Instruction]:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    stage = -1
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            stage += word == "FROM"
            yield Instruction(stage, word, " ".join(rest.split()))


def _those(word: str, *, stage: int | None = None) -> list[str]:
    return [one.rest for one in _instructions() if one.word == word and stage in {None, one.stage}]


def _last_stage() -> int:
    return max(one.stage for one in _instructions())


def _copied() -> list[tuple[str, str]]:
    """What comes from the repository into the image: source and target."""
    pairs = [rest.split() for rest in _those("COPY") if not rest.startswith("--from")]
    return [(source, target) for *sources, target in pairs for source in sources]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code as the image has it: what is copied, without what .dockerignore keeps away."""
    app = tmp_path_factory.mktemp("image") / "app"
    app.mkdir()
    kept_away = shutil.ignore_patterns("tests", "__pycache__", "*.pyc", "*.pyo")
    for source, target in _copied():
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, app / target, ignore=kept_away)
        elif target == "./":
            shutil.copy(ROOT / source, app / source)
    return app


def _run(image: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    keep = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=image,
        env=keep | settings,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_stage_starts_from_one_pinned_python() -> None:
    bases = {rest.split()[0] for rest in _those("FROM")}
    [base] = bases
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", base)


def test_the_image_runs_as_the_user_that_the_manifests_name() -> None:
    users = {
        (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"])
        for pod in (container.pod for container in own_containers(WITH))
    }
    [user] = _those("USER", stage=_last_stage())
    assert users == {tuple(map(int, user.split(":")))}
    assert 0 not in users.pop()
    words = [one.word for one in _instructions() if one.stage == _last_stage()]
    assert not {"RUN", "COPY"} & set(words[words.index("USER") :])


def test_requirements_are_installed_by_their_hashes_and_no_tool_for_tests_is() -> None:
    [install] = [rest for rest in _those("RUN") if "pip" in rest]
    assert "--require-hashes" in install
    assert install.endswith("--requirement /build/requirements.txt")
    assert "requirements-dev" not in "".join(one.rest for one in _instructions())
    assert not [rest for rest in _those("RUN", stage=_last_stage()) if "pip" in rest]
    assert not [rest for rest in _those("RUN") if "apt" in rest]


def test_everything_that_is_copied_exists() -> None:
    assert _copied()
    for source, _ in _copied():
        assert (ROOT / source).exists(), source


def test_nothing_reaches_the_build_but_what_is_copied() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == {one for one, _ in _copied()}
    assert {rule for rule in rules[1:] if not rule.startswith("!")} == {
        "**/tests",
        "**/__pycache__",
        "**/*.py[co]",
    }


def test_no_secret_is_built_into_the_image() -> None:
    given = " ".join(_those("ENV") + _those("ARG"))
    assert not re.search(r"SECRET|PASSWORD|TOKEN|_URL", given)


def test_the_default_command_is_the_site() -> None:
    [command] = _those("CMD")
    [site] = [one for one in own_containers(WITH) if one.spec["name"] == "site"]
    assert re.findall(r'"(.*?)"', command) == site.spec["command"]
    assert _those("EXPOSE") == [str(site.spec["ports"][0]["containerPort"])]


def test_the_build_collects_the_static_files_with_a_key_that_it_forgets(
    image: Path, tmp_path: Path
) -> None:
    [command] = [one for one in _those("RUN") if "collectstatic" in one]
    key, *words = command.partition(" &&")[0].split()
    given = {"STATIC_ROOT": str(tmp_path), "SECRET_KEY": key.removeprefix("SECRET_KEY=")}
    done = _run(image, *words[1:], **given)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "css" / "site.css").exists()
    assert (tmp_path / "admin").is_dir()


def test_the_code_in_the_image_needs_nothing_that_was_left_out(image: Path) -> None:
    settings = {
        "SECRET_KEY": "s" * 64,
        "DATABASE_URL": "postgres://user:secret@database/name",
        "AMQP_URL": "amqp://user:secret@broker/",
    }
    done = _run(image, "manage.py", "check", **settings)
    assert done.returncode == 0, done.stderr
    loads = "import django; django.setup(); import restaurant.asgi, dashboard.ingest.observer"
    done = _run(image, "-c", loads, DJANGO_SETTINGS_MODULE="restaurant.settings", **settings)
    assert done.returncode == 0, done.stderr
    done = _run(image, "-m", "kitchen_worker", "--help")
    assert done.returncode == 0, done.stderr
    for command in ("relay", "observe", "migrate", "start_launch", "rush"):
        done = _run(image, "manage.py", command, "--help", **settings)
        assert done.returncode == 0, done.stderr
