"""Holds pods to the restricted security standard, and manifests to having no secret in them."""

from __future__ import annotations

import re

import pytest

from tests.k8s.rendering import K8S, RENDERED, containers, objects, pod_of, strings, workloads

pytestmark = pytest.mark.kubernetes

_SECRET_NAME = re.compile(
    r"PASS(WORD|WD)?$|SECRET|TOKEN|CREDENTIAL|PRIVATE|API_?KEY|_KEY$", re.IGNORECASE
)
#: A URL that names a user with a password, in any scheme.
_URL_WITH_PASSWORD = re.compile(r"\w+://[^/\s:@]*:[^/\s@]+@")
#: Settings that hold a password within.
_URLS = {"AMQP_URL", "DASHBOARD_DATABASE_URL", "DATABASE_URL"}
_PINNED_IMAGE = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+[\w.-]*")


@pytest.mark.parametrize("path", RENDERED)
def test_no_pod_runs_as_root_or_may_become_it(path: str) -> None:
    for workload in workloads(path):
        context = pod_of(workload)["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 0
        assert context["runAsGroup"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(path):
        context = container.spec["securityContext"]
        assert context["allowPrivilegeEscalation"] is False, container
        assert context["capabilities"] == {"drop": ["ALL"]}, container
        assert not context.keys() & {"privileged", "runAsUser", "runAsNonRoot"}, container


@pytest.mark.parametrize("path", RENDERED)
def test_a_container_writes_to_volumes_alone(path: str) -> None:
    for container in containers(path):
        assert container.spec["securityContext"]["readOnlyRootFilesystem"] is True, container
        mounts = {one["name"]: one["mountPath"] for one in container.spec["volumeMounts"]}
        assert mounts["tmp"] == "/tmp", container  # noqa: S108 - the container's own
        volumes = {one["name"]: one for one in container.pod["volumes"]}
        assert "emptyDir" in volumes["tmp"], container
        assert not any("hostPath" in volume for volume in volumes.values()), container


@pytest.mark.parametrize("path", RENDERED)
def test_no_pod_has_a_token_of_the_cluster(path: str) -> None:
    for workload in workloads(path):
        assert pod_of(workload)["automountServiceAccountToken"] is False
    for one in objects(path):
        assert one["kind"] != "ServiceAccount" or one["automountServiceAccountToken"] is False
        assert "Role" not in one["kind"]


@pytest.mark.parametrize("path", RENDERED)
def test_the_namespace_enforces_the_restricted_standard(path: str) -> None:
    [namespace] = [one for one in objects(path) if one["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("path", RENDERED)
def test_every_image_has_the_tag_of_one_version(path: str) -> None:
    images = {container.spec["image"] for container in containers(path)}
    assert images
    assert not [image for image in images if not _PINNED_IMAGE.fullmatch(image)]
    assert len([image for image in images if image.startswith("dark-kitchen:")]) == 1


@pytest.mark.parametrize("path", RENDERED)
def test_a_secret_comes_by_reference(path: str) -> None:
    for container in containers(path):
        for variable in container.spec.get("env", []):
            if variable["name"] in _URLS or _SECRET_NAME.search(variable["name"]):
                assert variable["valueFrom"].keys() == {"secretKeyRef"}, container
                assert "value" not in variable, container
    for one in objects(path):
        assert one["kind"] != "Secret"
        if one["kind"] == "ConfigMap":
            assert not [key for key in one["data"] if key in _URLS or _SECRET_NAME.search(key)]


def test_no_file_under_k8s_holds_a_password_in_an_address() -> None:
    files = [path for path in K8S.rglob("*") if path.suffix in {".yaml", ".env", ".conf"}]
    assert len(files) > 10
    for path in files:
        assert not _URL_WITH_PASSWORD.search(path.read_text()), path
        assert "kind: Secret" not in path.read_text(), path


@pytest.mark.parametrize("path", RENDERED)
def test_no_rendered_text_holds_a_password_in_an_address(path: str) -> None:
    for text in strings(objects(path)):
        assert not _URL_WITH_PASSWORD.search(text), text


def test_the_searches_for_secrets_find_one() -> None:
    assert _URL_WITH_PASSWORD.search("amqp://guest:guest@rabbitmq:5672/")
    assert not _URL_WITH_PASSWORD.search("http://localhost:8000/")
    for name in ("SECRET_KEY", "POSTGRES_PASSWORD", "RABBITMQ_DEFAULT_PASS", "API_TOKEN"):
        assert _SECRET_NAME.search(name)
    assert not _PINNED_IMAGE.fullmatch("dark-kitchen:latest")
    assert not _PINNED_IMAGE.fullmatch("rabbitmq")
