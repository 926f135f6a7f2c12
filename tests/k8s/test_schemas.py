"""Holds what kubectl would apply to the schemas of Kubernetes, strictly."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest

from tests.k8s.rendering import RENDERED, named, objects, workloads

pytestmark = pytest.mark.kubernetes

#: The oldest Kubernetes that the manifests are for, and the newest that the schemas know.
VERSIONS = ("1.27", kubernetes_validate.latest_version())


def _validate(found: dict[str, Any], version: str) -> None:
    """Raise for a field that is wrong or unknown, and for a kind that is."""
    kubernetes_validate.validate(found, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", RENDERED)
def test_every_object_passes_its_schema_strictly(path: str, version: str) -> None:
    found = objects(path)
    assert found
    for one in found:
        _validate(one, version)


def test_an_unknown_field_and_an_unknown_kind_would_be_refused() -> None:
    good = workloads(RENDERED[0])[0]
    misspelt = {**good, "spec": {**good["spec"], "replica": 1}}
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        _validate(misspelt, VERSIONS[-1])
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        _validate({**good, "kind": "Deploiment"}, VERSIONS[-1])


@pytest.mark.parametrize("path", RENDERED)
def test_no_object_is_there_twice(path: str) -> None:
    names = [named(one) for one in objects(path)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", RENDERED)
def test_every_object_is_in_the_one_namespace(path: str) -> None:
    spaces = {one["metadata"].get("namespace") for one in objects(path)}
    assert spaces == {"dark-kitchen", None}
    assert [one["kind"] for one in objects(path) if "namespace" not in one["metadata"]] == [
        "Namespace"
    ]
