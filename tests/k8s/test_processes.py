"""Holds every workload to the processes as they are: commands, settings, probes, time to stop."""

from __future__ import annotations

import re
import subprocess
from importlib import import_module
from importlib.util import find_spec
from urllib.parse import urlsplit

import pytest
from django.core.management import get_commands
from django.urls import resolve

from kitchen_worker.amqp.settings import settings_of
from kitchen_worker.config import WorkerConfig
from kitchen_worker.worker import DRAIN_S
from local.settings import ROOT
from restaurant.environment import Door, Environment
from tests.k8s.rendering import (
    RENDERED,
    WITH,
    Container,
    containers,
    environment,
    named,
    objects,
    own_containers,
    pod_of,
    workloads,
)

pytestmark = pytest.mark.kubernetes

BASE_SETTINGS = ROOT / "k8s" / "base" / "site.env"
_PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


#: Read by every process, besides what is in its record.
_OF_QUEUES = {
    "QUEUE_TYPE",
    "DARK_QUEUE_LENGTH",
    "DARK_QUEUE_TTL_SECONDS",
    "OBSERVER_QUEUE_LENGTH",
    "DEAD_QUEUE_LENGTH",
}


def _known(record: type[Environment | WorkerConfig]) -> set[str]:
    """The variables that a process reads."""
    return _OF_QUEUES | {setting.variable for setting in settings_of(record)}


def _command(container: Container) -> list[str]:
    command: list[str] = container.spec["command"]
    return command


def _is_kitchen(container: Container) -> bool:
    return "kitchen_worker" in _command(container)


def _as_read(container: Container, path: str) -> dict[str, str]:
    """A container's environment, with secrets of the form that the product takes."""
    secrets = {
        "amqp-url": "amqp://user:secret@broker:5672/",
        "dashboard-database-url": "postgres://user:secret@database:5432/dashboard",
        "database-url": "postgres://user:secret@database:5432/name",
        "secret-key": "s" * 64,
    }
    given = environment(container, path)
    return {name: secrets.get(value, value) for name, value in given.items()}


def _doors(path: str) -> dict[Door, Container]:
    """The containers that serve pages, by door."""
    names = {"site": Door.CUSTOMERS, "dashboard": Door.DASHBOARD}
    return {
        names[one.spec["name"]]: one for one in own_containers(path) if one.spec["name"] in names
    }


def _management_commands(container: Container) -> list[str]:
    return re.findall(r"manage\.py (\w+)", " ".join(_command(container)))


def test_each_process_has_its_workload() -> None:
    assert {named(one) for one in workloads(WITH)} == {
        "deployment/site",
        "deployment/dashboard",
        "deployment/relay",
        "deployment/observer",
        "deployment/kitchen-vlatest",
        "deployment/kitchen-vlatest-b",
        "deployment/kitchen-vnext",
        "statefulset/postgresql",
        "statefulset/rabbitmq",
    }


def test_every_command_of_ours_exists() -> None:
    known = get_commands()
    for container in own_containers(WITH):
        commands = _management_commands(container)
        assert commands or _command(container)[:2] == ["python", "-m"], container
        assert set(commands) <= known.keys(), container
        if not commands:
            assert find_spec(_command(container)[2]), container


def test_both_doors_serve_an_application_that_is_there() -> None:
    for door in _doors(WITH).values():
        module, _, name = _command(door)[-1].partition(":")
        assert callable(getattr(import_module(module), name))


@pytest.mark.parametrize("path", RENDERED)
def test_each_door_has_a_workload_whose_host_the_other_links_to(path: str) -> None:
    read = {
        door: Environment.from_environ(_as_read(one, path)) for door, one in _doors(path).items()
    }
    for door, other in ((Door.CUSTOMERS, Door.DASHBOARD), (Door.DASHBOARD, Door.CUSTOMERS)):
        assert read[door].door is door
        address = urlsplit(read[door].other_door or "")
        assert address.hostname in read[other].allowed_hosts
        assert (address.scheme == "https") == read[other].https


@pytest.mark.parametrize("path", RENDERED)
def test_production_has_nothing_of_the_dashboard(path: str) -> None:
    production = ("deployment/site", "deployment/relay")
    live = [one for one in own_containers(path) if one.workload in production]
    assert len(live) == 4
    for container in live:
        assert environment(container, path)["DOOR"] == Door.CUSTOMERS
        assert "DASHBOARD_DATABASE_URL" not in environment(container, path)
    for container in live:
        if container.workload == "deployment/site":
            assert "AMQP_URL" not in environment(container, path)


def test_the_shell_lines_of_init_containers_are_well_formed() -> None:
    scripts = [_command(one)[2] for one in own_containers(WITH) if _command(one)[0] == "sh"]
    assert len(scripts) == 4
    for script in scripts:
        subprocess.run(["sh", "-n", "-c", script], check=True)


@pytest.mark.parametrize("path", RENDERED)
def test_the_site_and_its_like_read_every_setting_that_they_are_given(path: str) -> None:
    for container in own_containers(path):
        if not _is_kitchen(container):
            given = _as_read(container, path)
            read = Environment.from_environ(given)
            assert given.keys() <= _known(Environment), container
            assert not read.debug


def test_production_is_behind_https_unless_an_overlay_says_otherwise() -> None:
    base = dict(
        line.split("=", 1) for line in BASE_SETTINGS.read_text().splitlines() if "=" in line
    )
    assert Environment.from_environ({"SECRET_KEY": "s" * 64, **base}).https


@pytest.mark.parametrize("path", RENDERED)
def test_a_kitchen_reads_every_setting_that_it_is_given(path: str) -> None:
    kitchens = [one for one in own_containers(path) if _is_kitchen(one)]
    assert kitchens
    for container in kitchens:
        given = _as_read(container, path)
        config = WorkerConfig.read(_command(container)[3:], given)
        assert given.keys() <= _known(WorkerConfig), container
        assert container.workload == f"deployment/kitchen-{config.version}"
        assert config.health_port == 8081


@pytest.mark.parametrize("path", RENDERED)
def test_all_processes_declare_the_same_queues(path: str) -> None:
    declared = {
        Environment.from_environ(_as_read(container, path)).queue_types
        for container in own_containers(path)
        if not _is_kitchen(container)
    }
    assert len(declared) == 1


@pytest.mark.parametrize("path", RENDERED)
def test_every_container_has_probes_on_a_port_that_it_opens(path: str) -> None:
    for container in containers(path, init=False):
        ports = {one["name"]: one["containerPort"] for one in container.spec["ports"]}
        for name in _PROBES:
            probe = container.spec[name]
            action = probe.get("httpGet") or probe.get("tcpSocket")
            assert action or probe["exec"]["command"], container
            assert not action or action["port"] in ports, container
            assert probe["timeoutSeconds"] <= probe["periodSeconds"] + 1, container


@pytest.mark.parametrize("path", RENDERED)
def test_processes_without_pages_are_probed_on_their_health_port(path: str) -> None:
    for container in own_containers(path):
        if "HEALTH_PORT" in environment(container, path) and "ports" in container.spec:
            [port] = container.spec["ports"]
            assert environment(container, path)["HEALTH_PORT"] == str(port["containerPort"])
            paths = [container.spec[name]["httpGet"]["path"] for name in _PROBES]
            assert paths == ["/live", "/live", "/ready"]


@pytest.mark.parametrize("path", RENDERED)
def test_the_doors_probes_are_pages_of_a_host_that_is_allowed(path: str) -> None:
    doors = _doors(path).values()
    assert len(doors) == 2
    for door in doors:
        allowed = Environment.from_environ(_as_read(door, path)).allowed_hosts
        for name in _PROBES:
            action = door.spec[name]["httpGet"]
            [header] = action["httpHeaders"]
            assert header["name"] == "Host"
            assert header["value"] in allowed
            assert resolve(action["path"]).url_name in {"api_health", "api_ready"}
        assert _command(door)[-2] == str(door.spec["ports"][0]["containerPort"])


@pytest.mark.parametrize("path", RENDERED)
def test_a_pod_has_longer_to_stop_than_its_process_takes(path: str) -> None:
    for workload in workloads(path):
        pod = pod_of(workload)
        [container] = pod["containers"]
        before = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command")
        sleep = int(before[1]) if before else 0
        assert pod["terminationGracePeriodSeconds"] >= sleep + DRAIN_S + 5, named(workload)


@pytest.mark.parametrize("path", RENDERED)
def test_every_container_says_what_it_needs_and_may_take(path: str) -> None:
    for container in containers(path):
        resources = container.spec["resources"]
        for kind in ("requests", "limits"):
            assert resources[kind].keys() >= {"cpu", "memory"}, container


@pytest.mark.parametrize("path", RENDERED)
def test_every_object_that_is_named_is_there(path: str) -> None:
    there = {(one["kind"], one["metadata"]["name"]) for one in objects(path)}
    for container in containers(path):
        for source in container.spec.get("envFrom", []):
            assert ("ConfigMap", source["configMapRef"]["name"]) in there, container
        for volume in container.pod["volumes"]:
            assert "configMap" not in volume or ("ConfigMap", volume["configMap"]["name"]) in there
        account = container.pod.get("serviceAccountName")
        assert account is None or ("ServiceAccount", account) in there, container


@pytest.mark.parametrize("path", RENDERED)
def test_every_service_leads_to_the_port_of_one_workload(path: str) -> None:
    services = [one for one in objects(path) if one["kind"] == "Service"]
    assert services
    for service in services:
        chosen = service["spec"]["selector"].items()
        [workload] = [
            one
            for one in workloads(path)
            if chosen <= one["spec"]["template"]["metadata"]["labels"].items()
        ]
        opened = {port["name"] for port in pod_of(workload)["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= opened


@pytest.mark.parametrize("path", RENDERED)
def test_no_workload_selects_the_pods_of_another(path: str) -> None:
    for workload in workloads(path):
        chosen = workload["spec"]["selector"]["matchLabels"].items()
        [same] = [
            one
            for one in workloads(path)
            if chosen <= one["spec"]["template"]["metadata"]["labels"].items()
        ]
        assert named(same) == named(workload)
