"""What we ship of others is what they released, and is written down."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import pytest

STATIC = Path(__file__).resolve().parent.parent / "static"
RECORD = STATIC / "vendor" / "VENDOR.toml"
RECORDED: list[dict[str, str]] = tomllib.loads(RECORD.read_text())["file"]


@pytest.mark.parametrize("entry", RECORDED, ids=lambda entry: entry["path"])
def test_a_vendored_file_is_the_released_one(entry: dict[str, str]) -> None:
    shipped = (STATIC / entry["path"]).read_bytes()

    assert hashlib.sha256(shipped).hexdigest() == entry["sha256"]
    assert entry["package"]
    assert entry["version"]
    assert entry["license"]


def test_every_vendored_file_is_recorded() -> None:
    shipped = {
        str(path.relative_to(STATIC))
        for folder in ("fonts", "vendor")
        for path in (STATIC / folder).rglob("*")
        if path.is_file() and path != RECORD
    }

    assert shipped == {entry["path"] for entry in RECORDED}


def test_every_package_comes_with_its_licence() -> None:
    with_licence = {entry["package"] for entry in RECORDED if entry["source"] == "LICENSE"}

    assert with_licence == {entry["package"] for entry in RECORDED}
