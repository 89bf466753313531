"""One direction of imports: a module imports only from layers above its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import upscaled

ROOT = Path(upscaled.__file__).parent

LAYERS = (
    ("errors",),
    ("job",),
    ("files",),
    ("inbox",),
    ("ledger",),
    ("api",),
    ("admission", "guard", "hooks", "polls", "prices", "worker_process"),
    ("steps",),
    ("limits",),
    ("worker",),
    ("events",),
    ("status", "commands", "spend"),
    ("verdicts", "prune"),
    ("health",),
    ("logs", "board", "heaps"),
    ("progress",),
    ("engine",),
    ("config",),
    ("embedded", "strays", "processes", "threads", "sdnotify", "loop", "demo", "folders"),
    ("intakes",),
    ("metrics",),
    ("reload", "vitals"),
    ("dashboard",),
    ("notify", "webhooks"),
    ("endpoints",),
    ("serving", "direct"),
    ("planning", "systemd"),
    ("check", "why"),
    ("doctor",),
    ("present",),
    ("building",),
    ("ending",),
    ("app",),
    ("engine_verbs", "notify_verbs", "verbs", "service_verbs"),
    ("cli",),
    ("__main__",),
)
"""Top to bottom: the design's list of modules. Modules of one line may use each other only within their package."""

ENGINE_MAY_USE = {"upscaled", "upscaled.errors", "upscaled.api"}

PURE = {"asyncio", "httpx", "sqlite3", "os", "time", "random", "secrets", "threading", "pathlib", "io", "socket"}

RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}

MODULES = sorted(ROOT.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert node.module is not None
            yield node.module
            if node.module == "upscaled":
                yield from (f"upscaled.{alias.name}" for alias in node.names)


def layer(module: str) -> str | None:
    """Return the layer of one of our modules, None for the package itself and for foreign ones."""
    parts = module.split(".")
    return parts[1] if parts[0] == "upscaled" and len(parts) > 1 else None


def own_layer(path: Path) -> str | None:
    """Return the layer that a file belongs to."""
    relative = path.relative_to(ROOT)
    return (
        None if relative.name == "__init__.py" and len(relative.parts) == 1 else relative.parts[0].removesuffix(".py")
    )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_from_layers_above_it(path: Path) -> None:
    """The design's list of modules is the order of imports."""
    own = own_layer(path)
    if own is None:
        return
    used = {found for module in imports(path) if (found := layer(module)) is not None and found != own}
    # `from upscaled import __version__` names no module.
    used -= {"__version__"}

    assert own in RANK, f"{own} has no place in the layers"
    assert set() == {name for name in used if RANK[name] >= RANK[own]}


@pytest.mark.parametrize("path", sorted((ROOT / "job").rglob("*.py")), ids=lambda path: path.name)
def test_the_core_is_pure(path: Path) -> None:
    """No I/O, no clock, no randomness: they are passed in."""
    assert set() == {module.split(".")[0] for module in imports(path)} & PURE


@pytest.mark.parametrize("path", sorted((ROOT / "engine").rglob("*.py")), ids=lambda path: path.name)
def test_the_engine_shares_only_the_contract(path: Path) -> None:
    """The engine is a service of its own: it knows the wire and the errors, and nothing of folders or jobs."""
    ours = {module for module in imports(path) if module.startswith("upscaled")}
    allowed = (*(ENGINE_MAY_USE - {"upscaled"}), "upscaled.engine", "upscaled.__version__")

    assert set() == {module for module in ours if module != "upscaled" and not module.startswith(allowed)}


def test_only_one_package_writes_the_users_files() -> None:
    """`files/` alone renames, links and deletes what belongs to people."""
    effects = {"rename", "replace", "unlink", "link", "rmtree", "remove", "move"}
    # Their own files, or a probe they made themselves.
    elsewhere = {"systemd", "engine", "demo.py", "config", "check.py", "doctor.py"}

    found = {
        f"{path.relative_to(ROOT)}: {node.func.attr}"
        for path in MODULES
        if path.relative_to(ROOT).parts[0] not in {"files", *elsewhere}
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in effects
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"os", "shutil", "path", "file"}
    }
    assert set() == found
