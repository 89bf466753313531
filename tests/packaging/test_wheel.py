"""What is published, installed alone into an empty environment, far from the checkout. Needs a package index."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import Final

import pytest

CHECKOUT: Final = Path(__file__).parents[2]
CORE: Final = ("tests/job", "tests/config", "tests/ledger")
"""What is tried with the installed package; none of it looks at the checkout."""

TOOLS: Final = ("pytest", "pytest-timeout", "pytest-xdist", "hypothesis", "respx", "trustme")

pytestmark = [pytest.mark.stress, pytest.mark.timeout(900)]


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed, with nothing of this environment's Python; return what it says."""
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "VIRTUAL"))
    }
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist and the wheel that is built of it."""
    directory = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", directory, CHECKOUT, cwd=directory)
    return directory


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what it depends on, and nothing else."""
    directory = tmp_path_factory.mktemp("venv")
    venv.create(directory, with_pip=True)
    (wheel,) = built.glob("*.whl")
    run(directory / "bin/pip", "install", "-q", f"{wheel}[engine]", cwd=directory)
    return directory


def test_the_index_would_take_both(built: Path) -> None:
    """Metadata and the long description are in order."""
    said = run(sys.executable, "-m", "twine", "check", "--strict", *sorted(built.iterdir()), cwd=built)
    assert 2 == said.count("PASSED")


def test_the_wheel_holds_the_package_and_the_manual(built: Path) -> None:
    """Schemas and templates are in it, and no test."""
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    package = CHECKOUT / "daemon" / "upscaled"
    wanted = {
        f"upscaled/{path.relative_to(package)}"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert set() == wanted - names
    assert any(name.endswith("share/man/man1/upscaled.1") for name in names)
    assert not [name for name in names if name.startswith("tests")]


def test_the_demo_works(installed: Path, tmp_path: Path) -> None:
    """The first thing anybody tries."""
    said = run(installed / "bin/upscaled", "demo", "--tier", "fast", cwd=tmp_path)
    assert "upscaled" in said
    assert (installed / "share/man/man1/upscaled.1").is_file()


def test_the_core_of_the_tests_passes_without_the_sources(installed: Path, tmp_path: Path) -> None:
    """The tests are copied away, so that only the installed package can be imported."""
    shutil.copytree(CHECKOUT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    run(installed / "bin/pip", "install", "-q", *TOOLS, cwd=tmp_path)
    where = run(installed / "bin/python", "-c", "import upscaled; print(upscaled.__file__)", cwd=tmp_path)
    assert where.startswith(str(installed))
    run(installed / "bin/python", "-m", "pytest", "-q", "-n", "2", *CORE, cwd=tmp_path)
