"""Reads who imports whom from the code, and holds it against the layers of the architecture."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

#: Ours, and what must stay out of some layers.
PACKAGES = ("bench", "dashboard", "kitchen_worker", "local", "restaurant", "tests")
_WEB = ("asgiref", "channels", "daphne", "django", "django_htmx", "twisted", "whitenoise")
_BROKER = ("aio_pika", "aiormq", "pamqp")

_CLIENT = ("kitchen_worker.contract", "kitchen_worker.amqp")
_PURE = ("dashboard.comparison", "dashboard.verdict", "dashboard.fold")
_RECORDED = (*_PURE, "dashboard.database", "dashboard.models", *_CLIENT, "restaurant")
_OBSERVED = (*_RECORDED, "dashboard.ingest")
#: What in the verdict's package reads stored rows, above the observer's part; the rest is pure.
_STORED = tuple(
    f"dashboard.verdict.{name}"
    for name in ("assessment", "closing", "evaluation", "final", "traffic")
)
#: What in the package of launches the observer runs: below the board, whose words the rest uses.
_LAUNCH_JOBS = tuple(
    f"dashboard.launches.{name}" for name in ("guards", "ramp", "record", "record_body", "watching")
)
#: What each layer may import of ours, itself aside; the most special prefix of a module decides.
ALLOWED = {
    "kitchen_worker.contract": (),
    "kitchen_worker.amqp": ("kitchen_worker.contract",),
    # The broker in memory, which the tests of all packages run on.
    "kitchen_worker.testing": _CLIENT,
    "kitchen_worker": _CLIENT,
    "restaurant": _CLIENT,
    "dashboard": (*_CLIENT, "restaurant"),
    "dashboard.comparison": (),
    "dashboard.verdict": ("dashboard.comparison",),
    "dashboard.fold": ("dashboard.comparison", "dashboard.verdict", "kitchen_worker.contract"),
    "dashboard.database": (),
    "dashboard.models": (*_PURE, "dashboard.database", *_CLIENT),
    "dashboard.ingest": _RECORDED,
    # Above the verdict, the reviews and the launches: they close blocks of evidence, replay orders,
    # run guards and ramp plans, and freeze records.
    **dict.fromkeys(
        ("dashboard.ingest.rebuilding", "dashboard.ingest.observer"),
        (*_OBSERVED, "dashboard.review", *_LAUNCH_JOBS),
    ),
    **dict.fromkeys(_LAUNCH_JOBS, (*_OBSERVED, "dashboard.review", *_LAUNCH_JOBS)),
    **dict.fromkeys(_STORED, _OBSERVED),
    "dashboard.review": _OBSERVED,
    "dashboard.board": (
        *(*_OBSERVED, "dashboard.review", "dashboard.launches.guards"),
        "dashboard.access",
    ),
    "dashboard.launches": (*_OBSERVED, "dashboard.review", "dashboard.board"),
    # Where both halves are put together.
    "restaurant.asgi": ("restaurant", "dashboard"),
    "restaurant.urls": ("restaurant", "dashboard"),
}
#: The layers under the stored half of the verdict's package.
_BELOW_STORED = (*_PURE, "dashboard.models", "dashboard.ingest")
#: What each layer must not know of the world.
FOREIGN = {
    "kitchen_worker": _WEB,
    "dashboard.comparison": _WEB + _BROKER,
    "dashboard.verdict": _WEB + _BROKER,
    "dashboard.fold": _WEB + _BROKER,
    **dict.fromkeys(_STORED, _BROKER),
}
#: Django's own are those of the default database.
_OF_DEFAULT = ("django.db.connection", "django.db.transaction")
_DATABASE = "dashboard.database"
#: The only files that know the broker's libraries: the session, its two halves, the mapping of
#: errors, and the shim.
BROKER_FILES = (
    "kitchen_worker.amqp.connection",
    "kitchen_worker.amqp.consumer",
    "kitchen_worker.amqp.publisher",
    "kitchen_worker.amqp.errors",
    "kitchen_worker.amqp.compat",
)


@dataclass(frozen=True, kw_only=True)
class Import:
    """One import: where, of what, and whether it waits until a function runs."""

    module: str
    line: int
    imported: str
    late: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.imported}"


def production_modules(root: Path) -> dict[str, Path]:
    """Our modules by name, without tests, and without the tools of a developer's machine."""
    found = {}
    for package in ("dashboard", "kitchen_worker", "restaurant"):
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if "tests" not in parts:
                found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports_of(module: str, source: str) -> list[Import]:
    """Every import of a module's source."""
    tree = ast.parse(source)
    late = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    return [
        Import(module=module, line=node.lineno, imported=name, late=id(node) in late)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in _names(module, node)
    ]


def violations(found: list[Import]) -> list[str]:
    """What breaks a rule, each in a sentence that says which."""
    return [f"{one}: {rule}" for one in found for rule in _broken_rules(one)]


def circles(found: list[Import], modules: Mapping[str, object]) -> list[list[str]]:
    """The circles of imports between modules, each once."""
    graph: dict[str, set[str]] = {name: set() for name in modules}
    for one in found:
        target = _module_of(one.imported, modules)
        if target is not None and target != one.module:
            graph[one.module].add(target)
    while ends := [name for name, targets in graph.items() if not targets & graph.keys()]:
        for name in ends:  # nothing of what is left stands behind it: it is in no circle
            del graph[name]
    unseen, circles_found = set(graph), []
    while unseen:
        path = [min(unseen)]
        while (following := min(graph[path[-1]] & graph.keys())) not in path:
            path.append(following)
        circle = path[path.index(following) :]
        if unseen.issuperset(circle):
            circles_found.append(circle)
        unseen -= set(path)
    return circles_found


def _names(module: str, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:  # relative, from the package that many levels up
        package = module.split(".")[: -node.level]
        base = ".".join([*package, base] if base else package)
    yield from (f"{base}.{alias.name}" for alias in node.names)


def _broken_rules(one: Import) -> Iterator[str]:
    ours = one.imported.split(".")[0] in PACKAGES
    layer = _layer(one.module, ALLOWED)
    if ours and one.late:
        yield "an import of ours stands at the head of its file"
    if ours and not any(_inside(one.imported, home) for home in (layer, *ALLOWED[layer])):
        yield f"{layer} may import {', '.join(ALLOWED[layer]) or 'nothing of ours'}"
    if layer in _BELOW_STORED and any(_inside(one.imported, name) for name in _STORED):
        yield f"{layer} knows no assessment"
    foreign = FOREIGN.get(_layer(one.module, FOREIGN), ())
    if any(_inside(one.imported, library) for library in foreign):
        yield f"{_layer(one.module, FOREIGN)} knows nothing of {one.imported.split('.')[0]}"
    if one.imported in _OF_DEFAULT and _inside(one.module, "dashboard") and one.module != _DATABASE:
        yield f"{_DATABASE} alone knows which database the dashboard's tables are in"
    if one.module not in BROKER_FILES and any(_inside(one.imported, name) for name in _BROKER):
        yield f"{BROKER_FILES[0]} alone knows the broker's library"


def _layer(module: str, layers: Mapping[str, object]) -> str:
    homes = [layer for layer in layers if _inside(module, layer)]
    return max(homes, key=len, default="")


def _inside(name: str, home: str) -> bool:
    return name == home or name.startswith(f"{home}.")


def _module_of(imported: str, modules: Mapping[str, object]) -> str | None:
    """The module that an imported name is, or stands in."""
    parent = imported.rpartition(".")[0]
    return next((name for name in (imported, parent) if name in modules), None)
