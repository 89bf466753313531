"""Does every dependency have a wheel for 64-bit ARM, as NAS boxes and small boards have?

    python -m tests.packaging.aarch64 [--python 3.13]

Downloads them all as such a machine would be given them, by pip, and prints their names; the exit code is 1 where one
would have to be compiled.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).parents[2] / "pyproject.toml"
PLATFORMS: Final = ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64")
"""What Debian 10 and later, and everything made since, can run."""


def main() -> int:
    """Try it, for what the program needs and for what the engine needs."""
    parser = argparse.ArgumentParser(description="Wheels for 64-bit ARM.")
    parser.add_argument("--python", default="3.11")
    version = parser.parse_args().python
    project = tomllib.loads(PROJECT.read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["engine"]]
    pip = [sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:", "--python-version", version]
    platforms = [f"--platform={platform}" for platform in PLATFORMS]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*pip, *platforms, "--dest", folder, *wanted], check=False)
        names = sorted(path.name for path in Path(folder).iterdir())
    native = [name for name in names if "aarch64" in name]
    sys.stdout.write("\n".join([*names, f"{len(names)} wheels, {len(native)} of them for aarch64 alone", ""]))
    return int(done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
