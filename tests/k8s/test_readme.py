"""Holds k8s/README.md to the manifests: what it tells to type works on what is there."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from functools import cache
from urllib.parse import urlsplit

import pytest
import yaml
from django.core.management import get_commands

from kitchen_worker.contract.topology import KITCHEN_EVENTS
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
def _secrets() -> dict[str, dict[str, str]]:
    """The Secrets that the README's own lines make, by name; without a cluster or an image."""
    [general] = [block for block in _blocks() if "create secret" in block]
    [users] = [block for block in _blocks() if "broker_users" in block]
    made = general.partition("\n")[2].rstrip() + " --dry-run=client --output=yaml"
    assert users.startswith("docker run --rm --env SECRET_KEY=unused dark-kitchen:")
    command = users.partition(" python ")[2].partition("|")[0].replace("\\\n", " ")
    assert users.rstrip().endswith("| kubectl --namespace dark-kitchen apply -f -")
    script = f"""set -eu
        kubectl() {{ "{kubectl()}" "$@"; }}
        {made}
        echo ---
        SECRET_KEY=unused {sys.executable} {command}
    """
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    one, several = yaml.safe_load_all(done.stdout)
    assert one["metadata"]["namespace"] == "dark-kitchen"
    plain = {key: base64.b64decode(value).decode() for key, value in one["data"].items()}
    return {"dark-kitchen": plain} | {
        secret["metadata"]["name"]: secret["stringData"] for secret in several["items"]
    }


def _setting(workload: str, name: str) -> str:
    [container] = [one for one in containers(WITH) if one.workload == workload]
    [value] = [one["value"] for one in container.spec["env"] if one["name"] == name]
    assert isinstance(value, str)
    return value


def _port(service: str) -> int:
    [found] = [one for one in objects(WITH) if named(one) == f"service/{service}"]
    port: int = found["spec"]["ports"][0]["port"]
    return port


def test_the_secrets_have_the_keys_that_the_manifests_name_and_no_other() -> None:
    named_keys = {
        (reference["name"], reference["key"])
        for container in containers(WITH)
        for variable in container.spec.get("env", [])
        if (reference := variable.get("valueFrom", {}).get("secretKeyRef"))
        and not reference.get("optional")
    }
    mounted = {
        volume["secret"]["secretName"]
        for container in containers(WITH)
        for volume in container.pod["volumes"]
        if "secret" in volume
    }
    assert mounted == {"broker-definitions"}
    assert named_keys | {("broker-definitions", "definitions.json")} == {
        (name, key) for name, secret in _secrets().items() for key in secret
    }


def test_the_secrets_addresses_lead_to_the_local_broker_and_database() -> None:
    for name, secret in _secrets().items():
        if "amqp-url" in secret:
            broker = urlsplit(secret["amqp-url"])
            assert (broker.hostname, broker.port) == ("rabbitmq", _port("rabbitmq"))
            assert f"broker-{broker.username}" == name
    general = _secrets()["dark-kitchen"]
    database = urlsplit(general["database-url"])
    assert (database.hostname, database.port) == ("postgresql", _port("postgresql"))
    assert database.username == _setting("statefulset/postgresql", "POSTGRES_USER")
    assert database.path == "/" + _setting("statefulset/postgresql", "POSTGRES_DB")
    assert database.password == general["database-password"]


def test_the_broker_has_the_user_of_every_process_from_its_definitions_and_no_other() -> None:
    definitions = json.loads(_secrets()["broker-definitions"]["definitions.json"])
    used = {
        urlsplit(secret["amqp-url"]).username
        for secret in _secrets().values()
        if "amqp-url" in secret
    }
    assert {user["name"] for user in definitions["users"]} == used
    [broker] = [one for one in containers(WITH) if one.workload == "statefulset/rabbitmq"]
    [directory] = [
        one["mountPath"] for one in broker.spec["volumeMounts"] if one["name"] == "definitions"
    ]
    configured = (K8S / "overlays/local/rabbitmq.conf").read_text()
    assert f"\nload_definitions = {directory}/definitions.json\n" in configured
    assert "RABBITMQ_DEFAULT_USER" not in {one["name"] for one in broker.spec["env"]}


def test_a_kitchens_user_may_publish_as_the_role_that_it_plays() -> None:
    definitions = json.loads(_secrets()["broker-definitions"]["definitions.json"])
    keys = {
        one["user"]: one["write"]
        for one in definitions["topic_permissions"]
        if one["exchange"] == KITCHEN_EVENTS and one["user"].startswith("kitchen-")
    }
    for container in own_containers(WITH):
        command = " ".join(container.spec["command"])
        if played := re.search(r"--version (\S+) --role (\S+)", command):
            version, role = played.groups()
            assert re.search(keys.pop(f"kitchen-{version}"), f"{role}.{version}")
    assert keys == {}


def test_the_secrets_are_long_and_differ() -> None:
    general = _secrets()["dark-kitchen"]
    passwords = [general["secret-key"], general["database-password"]]
    passwords += [
        urlsplit(secret["amqp-url"]).password or ""
        for secret in _secrets().values()
        if "amqp-url" in secret
    ]
    assert len(set(passwords)) == len(passwords) == 8
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
    assert typed >= {"start_launch", "rush", "createsuperuser", "broker_users"}
    assert typed <= get_commands().keys()
