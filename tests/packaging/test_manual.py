"""The manual page and the shells' completion."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.manual import escaped

PAGE: Final = Path(__file__).parents[2] / "daemon" / "man" / "upscaled.1"
UPSCALED: Final = Path(sys.executable).with_name("upscaled")


def test_the_page_is_what_the_command_line_says() -> None:
    """Whoever changes a verb makes it anew: COLUMNS=80 python -m tests.support.manual > daemon/man/upscaled.1"""
    environ = {**os.environ, "COLUMNS": "80"}
    made = subprocess.run(
        [sys.executable, "-m", "tests.support.manual"], env=environ, capture_output=True, text=True, check=True
    )
    assert made.stdout == PAGE.read_text("utf-8")


@pytest.mark.parametrize(
    "lint",
    [("mandoc", "-T", "lint", "-W", "warning"), ("groff", "-man", "-Tutf8", "-ww", "-z"), ("man", "--warnings", "-l")],
)
def test_the_page_renders_without_a_warning(lint: tuple[str, ...]) -> None:
    """In the eyes of both families of formatters, and as it is read."""
    if shutil.which(lint[0]) is None:
        pytest.skip(f"{lint[0]} is not installed")
    done = subprocess.run([*lint, str(PAGE)], capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    assert lint[0] == "man" or done.stdout == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [(".x", "\\&.x"), ("a-b", "a\\-b"), ("'x'", "\\(aqx\\(aq"), ("`run`", "\\(garun\\(ga"), ("C:\\x", "C:\\ex")],
)
def test_text_means_itself(text: str, expected: str) -> None:
    """Nothing in a help text is taken for a request."""
    assert expected == escaped(text)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_given_a_completion(shell: str) -> None:
    """The script that `--install-completion` installs, and what it asks of the program."""
    script = completed(_UPSCALED_COMPLETE=f"source_{shell}")
    assert f"complete_{shell}" in script
    asked = {
        "COMP_WORDS": "upscaled ser",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "upscaled ser",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_UPSCALED_COMPLETE": f"complete_{shell}",
    }
    offered = completed(**asked)
    assert "serve" in offered
    assert "status" not in offered


def test_bash_completes_a_verb_and_an_option(tmp_path: Path) -> None:
    """In a real shell: the script is read, and the function that it names is called as the shell does."""
    (tmp_path / "completion.bash").write_text(completed(_UPSCALED_COMPLETE="source_bash"))
    ask = (
        f"PATH={UPSCALED.parent}:$PATH; source completion.bash; "
        "COMP_WORDS=(upscaled {}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _upscaled_completion upscaled; "
        'printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    for words, expected in (("upsc", ["upscale"]), ("upscale --cre", ["--creativity"])):
        done = subprocess.run(
            ["bash", "-c", ask.format(words)], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert expected == done.stdout.split()


def completed(**environ: str) -> str:
    """Run the program as a shell's completion does."""
    done = subprocess.run([str(UPSCALED)], env={**os.environ, **environ}, capture_output=True, text=True, check=False)
    return done.stdout
