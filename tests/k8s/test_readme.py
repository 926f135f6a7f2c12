"""Holds k8s/README.md to the manifests: what it tells to type works on what is there."""

from __future__ import annotations

import base64
import re
import subprocess
from functools import cache
from urllib.parse import urlsplit

import pytest
import yaml
from django.core.management import get_commands

from tests.k8s.rendering import (
    K8S,
    ROOT,
    WITH,
    containers,
    documents,
    kubectl,
    named,
    objects,
    own_containers,
)

pytestmark = pytest.mark.kubernetes

_README = (K8S / "README.md").read_text()


def _blocks() -> list[str]:
    return re.findall(r"```sh\n(.*?)```", _README, flags=re.DOTALL)


@cache
def _secret() -> dict[str, str]:
    """The Secret that the README's own lines make, without a cluster."""
    [lines] = [block for block in _blocks() if "create secret" in block]
    made = lines.partition("\n")[2].rstrip() + " --dry-run=client --output=yaml"
    script = f'set -eu\nkubectl() {{ "{kubectl()}" "$@"; }}\n{made}\n'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = yaml.safe_load(done.stdout)
    assert (found["metadata"]["name"], found["metadata"]["namespace"]) == ("dark-kitchen",) * 2
    return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


def _setting(workload: str, name: str) -> str:
    [container] = [one for one in containers(WITH) if one.workload == workload]
    [value] = [one["value"] for one in container.spec["env"] if one["name"] == name]
    assert isinstance(value, str)
    return value


def _port(service: str) -> int:
    [found] = [one for one in objects(WITH) if named(one) == f"service/{service}"]
    port: int = found["spec"]["ports"][0]["port"]
    return port


def test_the_secret_has_the_keys_that_the_manifests_name_and_no_other() -> None:
    named_keys = {
        (
            variable["valueFrom"]["secretKeyRef"]["name"],
            variable["valueFrom"]["secretKeyRef"]["key"],
        )
        for container in containers(WITH)
        for variable in container.spec.get("env", [])
        if "valueFrom" in variable
    }
    assert named_keys == {("dark-kitchen", key) for key in _secret()}


def test_the_secrets_addresses_lead_to_the_local_broker_and_database() -> None:
    broker, database = urlsplit(_secret()["amqp-url"]), urlsplit(_secret()["database-url"])
    assert (broker.hostname, broker.port) == ("rabbitmq", _port("rabbitmq"))
    assert broker.username == _setting("statefulset/rabbitmq", "RABBITMQ_DEFAULT_USER")
    assert broker.password == _secret()["broker-password"]
    assert (database.hostname, database.port) == ("postgresql", _port("postgresql"))
    assert database.username == _setting("statefulset/postgresql", "POSTGRES_USER")
    assert database.path == "/" + _setting("statefulset/postgresql", "POSTGRES_DB")
    assert database.password == _secret()["database-password"]


def test_the_secrets_are_long_and_differ() -> None:
    passwords = [_secret()[key] for key in ("secret-key", "broker-password", "database-password")]
    assert len(set(passwords)) == 3
    assert min(map(len, passwords)) >= 48


def test_every_path_that_is_applied_is_there() -> None:
    applied = re.findall(r"kubectl (?:apply|delete) (-[kf]) (\S+?)[`\s]", _README)
    assert {path for _, path in applied} >= {"k8s/overlays/local-dark", "k8s/base/namespace.yaml"}
    for option, path in applied:
        assert (ROOT / path).exists(), path
        assert option == "-f" or documents(str(ROOT / path))


def test_every_object_that_is_named_in_a_command_is_there() -> None:
    there = {named(one) for one in objects(WITH)}
    lines = "\n".join(_blocks())
    mentioned = set(re.findall(r"\b(?:deployment|statefulset|service)/[a-z][a-z-]*", lines))
    assert len(mentioned) > 5
    assert mentioned <= there


def test_every_container_that_is_named_is_there() -> None:
    mentioned = set(re.findall(r"--container ([a-z-]+)", _README))
    assert mentioned <= {container.spec["name"] for container in containers(WITH)}


def test_the_image_that_is_built_is_the_image_that_runs() -> None:
    [running] = {container.spec["image"] for container in own_containers(WITH)}
    assert set(re.findall(r"dark-kitchen:\d[\w.]*", _README)) == {running}


def test_every_management_command_that_is_typed_exists() -> None:
    typed = set(re.findall(r"manage\.py (\w+)", _README))
    assert typed >= {"start_launch", "rush", "createsuperuser"}
    assert typed <= get_commands().keys()
