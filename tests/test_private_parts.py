"""No module of ours but the shims imports, reads, overrides or patches a library's private part."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("bench", "dashboard", "kitchen_worker", "local", "restaurant")
#: Each of them names the library's fault and the versions that have it.
SHIMS = frozenset({"kitchen_worker.amqp.compat", "restaurant.request_limits"})
#: Private by their name, public by the documentation of Django, of named tuples and of os.
DOCUMENTED = frozenset(
    {
        *("_base_manager", "_default_manager", "_meta", "_state"),
        *("_asdict", "_fields", "_make", "_replace"),
        "_exit",
    }
)
#: Python itself gives each class of these kinds private names.
_GENERATED = ("abc", "builtins", "enum", "typing")
#: What a program is meant to change.
CHANGEABLE = frozenset({"os.environ"})


def modules() -> dict[str, Path]:
    """Our modules by name, without tests."""
    found = {}
    for package in OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if "tests" not in parts:
                found[".".join(parts).removesuffix(".__init__")] = path
    return found


def is_private(name: str) -> bool:
    """Whether a name begins with an underscore, and no documentation says that one may use it."""
    return name.startswith("_") and not name.endswith("_") and name not in DOCUMENTED


def own_names(tree: ast.AST) -> set[str]:
    """The private names that a module defines: functions, classes, fields, what it assigns to."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in {"self", "cls"}:
            found |= {node.attr} if isinstance(node.ctx, ast.Store) else set()
    return {name for name in found if is_private(name)}


def imported(tree: ast.AST) -> dict[str, str]:
    """What each name of a module stands for that is imported from elsewhere, and not from us."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.split(".")[0]] = alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return {name: origin for name, origin in found.items() if origin.split(".")[0] not in OURS}


def faults(source: str, names_of_bases: Iterable[str] = ()) -> list[str]:
    """What a module does with private parts of others; ``names_of_bases`` are inherited of ours."""
    tree = ast.parse(source)
    foreign = imported(tree)
    known = own_names(tree) | set(names_of_bases)
    return [
        f"line {line}: {what}"
        for node in ast.walk(tree)
        for line, what in (
            *_private_imports(node),
            *_private_reads(node, known),
            *_patches(node, foreign),
        )
    ]


def _private_imports(node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and not node.level:
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    else:
        return
    for name in names:
        first, *rest = name.split(".")
        if first not in OURS and first != "__future__" and any(map(is_private, (first, *rest))):
            yield node.lineno, f"imports {name}"


def _private_reads(node: ast.AST, known: set[str]) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in known:
        yield node.lineno, f"uses {ast.unparse(node)}"
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"getattr", "setattr"}:
        match node.args[1:2]:
            case [ast.Constant(value=str(name))] if is_private(name) and name not in known:
                yield node.lineno, f"uses {ast.unparse(node)}"


def _patches(node: ast.AST, foreign: dict[str, str]) -> Iterator[tuple[int, str]]:
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign | ast.Delete):
        targets = list(node.targets)
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        targets = [node.target]
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"setattr", "delattr"}:
        targets = [ast.Attribute(value=node.args[0], attr="", ctx=ast.Store())]
    parts = [part for one in targets for part in getattr(one, "elts", [one])]
    for part in parts:
        if isinstance(part, ast.Attribute | ast.Subscript):
            changed = ast.unparse(part.value)
            root = re.match(r"\w*", changed)
            if root and root[0] in foreign and changed not in CHANGEABLE:
                yield part.value.lineno, f"changes {changed} of {foreign[root[0]]}"


def overridden(kind: type) -> list[str]:
    """The private names of a class of ours that a library's base has as well."""
    homes = (*OURS, *_GENERATED)
    libraries = [base for base in kind.__mro__ if base.__module__.split(".")[0] not in homes]
    return [
        f"{kind.__qualname__}.{name} overrides {base.__module__}.{base.__qualname__}.{name}"
        for name in vars(kind)
        for base in libraries
        if is_private(name) and name != "_abc_impl" and name in vars(base)
    ]


def _names_of_our_bases(name: str) -> set[str]:
    """The private names in the modules of the bases of a module's classes."""
    found: set[str] = set()
    for kind in _classes(name):
        for base in kind.__mro__[1:]:
            if base.__module__.split(".")[0] in OURS:
                found |= own_names(ast.parse(inspect.getsource(sys.modules[base.__module__])))
    return found


def _classes(name: str) -> list[type]:
    module = importlib.import_module(name)
    return [
        kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == name
    ]


MODULES = {name: path for name, path in modules().items() if name not in SHIMS}
#: Those that do nothing when they are imported.
IMPORTED = [name for name in MODULES if not name.startswith("bench.") and "__main__" not in name]


@pytest.mark.parametrize("name", MODULES)
def test_no_private_part_of_a_library_is_used_or_patched(name: str) -> None:
    bases = _names_of_our_bases(name) if name in IMPORTED else ()
    assert faults(MODULES[name].read_text(), bases) == []


@pytest.mark.parametrize("name", IMPORTED)
def test_no_private_method_of_a_library_is_overridden(name: str) -> None:
    assert [fault for kind in _classes(name) for fault in overridden(kind)] == []


@pytest.mark.parametrize("name", sorted(SHIMS))
def test_a_shim_says_for_which_versions_it_is_and_has_a_test(name: str) -> None:
    path = modules()[name]
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    test = path.parent / "tests" / f"test_{path.stem}.py"
    assert re.search(r"Checked\s+with", docstring)
    assert re.search(r"issues?\b", docstring)
    assert f"tests/{test.name}" in docstring
    assert test.is_file()


def test_only_its_shim_knows_the_codec_below_the_brokers_library() -> None:
    knowing = [
        name
        for name, path in modules().items()
        if any(
            one.split(".")[0] == "pamqp" for one in imported(ast.parse(path.read_text())).values()
        )
    ]
    assert knowing == ["kitchen_worker.amqp.compat"]


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("from lib import _part", "imports lib._part"),
        ("from lib._inner import part", "imports lib._inner.part"),
        ("import lib._inner", "imports lib._inner"),
        ("def f(thing):\n    thing._part()", "uses thing._part"),
        ("class A(Lib):\n    def f(self):\n        self._part()", "uses self._part"),
        ("def f(thing):\n    getattr(thing, '_part')", "uses getattr(thing, '_part')"),
        ("import lib\nlib.part = 1", "changes lib of lib"),
        ("from lib import part\npart.TABLE['a'] = 1", "changes part.TABLE of lib.part"),
        ("from lib import part\nsetattr(part, name, 1)", "changes part of lib.part"),
        ("from lib import part\ndel part.TABLE", "changes part of lib.part"),
    ],
)
def test_the_check_finds(source: str, fault: str) -> None:
    assert [found.partition(": ")[2] for found in faults(source)] == [fault]


@pytest.mark.parametrize(
    "source",
    [
        "from __future__ import annotations",
        "from restaurant import _part",
        "class A:\n    def f(self, other):\n        self._part = 1\n        return other._part",
        "import os\nos.environ['A'] = '1'",
        "import lib\nthing = lib.thing()\nthing.part = 1",
        "def f(model):\n    model._meta.get_field('id')",
    ],
)
def test_the_check_lets_pass(source: str) -> None:
    assert faults(source) == []


def test_the_check_finds_an_overridden_method() -> None:
    base = type("Base", (), {"_part": None, "__module__": "lib"})
    ours = type("Ours", (base,), {"_part": 1, "_own": 2, "__module__": "bench"})
    assert overridden(ours) == ["Ours._part overrides lib.Base._part"]
