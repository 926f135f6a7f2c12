"""Holds the dark launch to being an addition: nothing live changes with it or without it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from kitchen_worker.config import WorkerConfig
from kitchen_worker.contract.messages import Role
from tests.k8s.rendering import (
    BASE,
    K8S,
    WITH,
    WITHOUT,
    Container,
    documents,
    environment,
    named,
    objects,
    pod_of,
)

pytestmark = pytest.mark.kubernetes

_ROLE = "dark-kitchen/role"


def _kitchens() -> dict[str, dict[str, Any]]:
    """The kitchens' Deployments by the version that each runs."""
    found = {}
    for one in objects(WITH):
        if one["metadata"].get("labels", {}).get(_ROLE):
            found[_config(one).version] = one
    return found


def _config(kitchen: dict[str, Any]) -> WorkerConfig:
    [spec] = pod_of(kitchen)["containers"]
    given = environment(Container(named(kitchen), pod_of(kitchen), spec), WITH)
    return WorkerConfig.read(spec["command"][3:], given | {"AMQP_URL": "amqp://broker/"})


def _without_who_it_is(value: Any, who: dict[str, str]) -> Any:
    """The same value with a kitchen's name, version and role put in words for any."""
    if isinstance(value, dict):
        return {key: _without_who_it_is(inner, who) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_who_it_is(inner, who) for inner in value]
    return who.get(value, value) if isinstance(value, str) else value


def test_with_the_dark_launch_every_live_object_is_the_same_to_the_byte() -> None:
    live = documents(WITHOUT)
    assert [text for text in documents(WITH) if text in set(live)] == live


def test_the_dark_launch_adds_the_dark_versions_and_nothing_else() -> None:
    added = {named(one) for one in objects(WITH)} - {named(one) for one in objects(WITHOUT)}
    assert added == {"deployment/kitchen-vnext", "deployment/kitchen-vlatest-b"}
    assert len(documents(WITH)) == len(documents(WITHOUT)) + 2


def test_kitchens_differ_in_name_version_and_role_alone() -> None:
    kitchens = _kitchens()
    assert kitchens.keys() == {"vlatest", "vnext", "vlatest-b"}
    alike = [
        _without_who_it_is(
            kitchen,
            {
                f"kitchen-{version}": "NAME",
                f"broker-kitchen-{version}": "SECRET",
                version: "VERSION",
                _config(kitchen).role: "ROLE",
            },
        )
        for version, kitchen in kitchens.items()
    ]
    assert alike[0]["metadata"]["name"] == "NAME"
    assert alike[0] == alike[1] == alike[2]


def test_a_kitchens_label_is_the_role_that_it_plays() -> None:
    roles = {version: _config(kitchen).role for version, kitchen in _kitchens().items()}
    assert roles == {
        "vlatest": Role.CONTROL,
        "vnext": Role.CANDIDATE,
        "vlatest-b": Role.BASELINE,
    }
    for version, kitchen in _kitchens().items():
        assert kitchen["metadata"]["labels"][_ROLE] == roles[version]
        assert kitchen["spec"]["template"]["metadata"]["labels"][_ROLE] == roles[version]


def test_the_selector_that_takes_the_dark_launch_away_finds_it_and_no_live_object() -> None:
    selector = f"{_ROLE} in (candidate, baseline)"
    assert f"delete deployment --selector '{selector}'" in (K8S / "README.md").read_text()
    taken = {
        named(one)
        for one in objects(WITH)
        if one["metadata"].get("labels", {}).get(_ROLE) in {"candidate", "baseline"}
    }
    assert taken == {"deployment/kitchen-vnext", "deployment/kitchen-vlatest-b"}


def test_the_component_changes_nothing_because_it_only_brings_resources() -> None:
    component = yaml.safe_load((K8S / "components/dark-launch/kustomization.yaml").read_text())
    assert component.keys() == {"apiVersion", "kind", "resources"}
    assert component["kind"] == "Component"


def test_a_kitchen_gets_the_broker_user_of_its_version_and_no_other_secret() -> None:
    for version, kitchen in _kitchens().items():
        [spec] = pod_of(kitchen)["containers"]
        references = [one["valueFrom"]["secretKeyRef"] for one in spec["env"] if "value" not in one]
        assert references == [{"name": f"broker-kitchen-{version}", "key": "amqp-url"}]


def test_the_base_has_no_dark_kitchen() -> None:
    assert "deployment/kitchen-vlatest" in {named(one) for one in objects(BASE)}
    assert "candidate" not in "".join(documents(BASE))
    assert "baseline" not in "".join(documents(BASE))
