"""Renders the overlays with kubectl and finds its way around what comes out."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from local.kubectl import kubectl as installed_kubectl

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"

BASE = "base"
WITHOUT = "overlays/local"
WITH = "overlays/local-dark"
RENDERED = (BASE, WITHOUT, WITH)

#: The kinds that run pods.
WORKLOADS = ("Deployment", "StatefulSet")


class Container(NamedTuple):
    """A container of a workload, with what it is part of."""

    workload: str
    pod: Mapping[str, Any]
    spec: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.workload}/{self.spec['name']}"


@cache
def kubectl() -> str:
    """The path of this machine's kubectl."""
    return str(installed_kubectl())


@cache
def render(path: str) -> str:
    """What kubectl would apply for a folder of ``k8s/``."""
    done = subprocess.run(
        [kubectl(), "kustomize", str(K8S / path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, f"kubectl kustomize {path} warns: {done.stderr}"
    return done.stdout


def documents(path: str) -> list[str]:
    """The rendered objects, each as its text."""
    return render(path).rstrip("\n").split("\n---\n")


@cache
def objects(path: str) -> list[dict[str, Any]]:
    """The rendered objects."""
    return [yaml.safe_load(text) for text in documents(path)]


def named(found: Mapping[str, Any]) -> str:
    """An object's kind and name, as kubectl writes them."""
    return f"{found['kind'].lower()}/{found['metadata']['name']}"


def workloads(path: str) -> list[dict[str, Any]]:
    """The rendered objects that run pods."""
    return [one for one in objects(path) if one["kind"] in WORKLOADS]


def pod_of(workload: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a workload's pods are to be."""
    pod: Mapping[str, Any] = workload["spec"]["template"]["spec"]
    return pod


def containers(path: str, *, init: bool = True) -> Iterator[Container]:
    """Every container of every workload, the init containers too when ``init``."""
    for workload in workloads(path):
        pod = pod_of(workload)
        for spec in (pod.get("initContainers", []) if init else []) + pod["containers"]:
            yield Container(named(workload), pod, spec)


def own_containers(path: str) -> list[Container]:
    """The containers that run this repository's image."""
    return [one for one in containers(path) if one.spec["image"].startswith("dark-kitchen:")]


def environment(container: Container, path: str) -> dict[str, str]:
    """What a container reads from its environment; a secret's value is the name of its key."""
    settings = {
        one["metadata"]["name"]: one["data"] for one in objects(path) if one["kind"] == "ConfigMap"
    }
    read: dict[str, str] = {}
    for source in container.spec.get("envFrom", []):
        read |= settings[source["configMapRef"]["name"]]
    for one in container.spec.get("env", []):
        given = one.get("valueFrom", {}).get("secretKeyRef", {}).get("key")
        read[one["name"]] = one["value"] if given is None else given
    return read


def strings(value: Any) -> Iterator[str]:
    """Every string within a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
