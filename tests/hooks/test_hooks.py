from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.jobs import job
from upscaled.hooks import Hooks, Ran


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Path]:
    """Give a hook's directory."""
    async with Hooks(work=tmp_path / "work").workplace() as directory:
        yield directory


async def ran(place: Path, body: str, *arguments: str, seconds: float = 20.0) -> Ran:
    """Run a hook that is a piece of Python."""
    command = (sys.executable, "-c", f"import json, os, subprocess, sys, time; argv = sys.argv[1:]\n{body}", *arguments)
    hooks = Hooks({"convert": command}, seconds, describe=lambda job: {"id": job.id})
    return await hooks.run("convert", job(source="sub/a b.jpg"), {"in": "/in/a b.jpg", "out": "/out"}, place)


async def test_a_hook_gets_its_arguments_as_they_are_and_the_job_as_json(place: Path) -> None:
    """No shell ever reads a name."""
    body = "print(json.dumps([argv, json.load(sys.stdin), os.getcwd()]))"

    said = await ran(place, body, "{in}", "$(touch x)", "{source};{job}", "{nothing}")

    argv, document, directory = json.loads(str(said))
    assert ["/in/a b.jpg", "$(touch x)", "sub/a b.jpg;abcdefghjk", "{nothing}"] == argv
    assert {"hook": "convert", "id": "abcdefghjk", "in": "/in/a b.jpg", "out": "/out"} == document
    assert str(place) == directory


async def test_what_stands_in_a_files_name_is_no_placeholder(place: Path) -> None:
    """Or a name could change what a program is told."""
    command = (sys.executable, "-c", "import json, sys; print(json.dumps(sys.argv[1:]))", "{in}", "{source}", "{{in}}")
    hooks = Hooks({"convert": command}, describe=lambda job: {})

    said = await hooks.run("convert", job(source="x{out}y{job}.jpg"), {"in": "/x{out}y{job}.jpg", "out": "/out"}, place)

    assert ["/x{out}y{job}.jpg", "x{out}y{job}.jpg", "{/x{out}y{job}.jpg}"] == json.loads(str(said))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("pass", Ran(0)),
        ("print('one'); print('two', file=sys.stderr); sys.exit(3)", Ran(3, "two")),
        ("os.kill(os.getpid(), 9)", Ran(-9, "", "it was ended by SIGKILL")),
        ("os.kill(os.getpid(), 40)", Ran(-40, "", "it was ended by signal 40")),
        ("print('x' * 1_000_000)", Ran(0, "x" * 500)),
        ("sys.stdout.buffer.write(bytes([27, 91, 255]))", Ran(0, "\\x1b[\ufffd")),
    ],
)
async def test_what_became_of_a_hook_is_told(place: Path, body: str, expected: Ran) -> None:
    """Its status, and the last line that it wrote, fit to be shown."""
    assert expected == await ran(place, body)


async def test_a_hook_that_takes_too_long_is_killed_with_all_that_it_started(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its children too, whatever they do about it."""
    body = (
        "deaf = 'import signal, time; signal.signal(15, 1); time.sleep(60)'\n"
        "child = subprocess.Popen([sys.executable, '-c', deaf])\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )

    said = await ran(place, body, seconds=1.0)

    assert (None, "it took longer than 1 s and was stopped") == (said.status, str(said))
    # The kernel takes its time with the child's end; only the hook's own was waited for.
    async with asyncio.timeout(10):
        while is_alive(int(said.said)):  # noqa: ASYNC110 - a process that is no child of ours rings no bell
            await asyncio.sleep(0.01)
    assert [] == [record for record in caplog.records if record.name == "asyncio"]


def is_alive(pid: int) -> bool:
    """Is there such a process, and is it no zombie that waits for its parent?"""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


async def test_a_child_that_a_hook_leaves_behind_keeps_nobody_waiting(place: Path) -> None:
    """It holds the hook's output open."""
    said = await ran(place, "subprocess.Popen(['sleep', '5']); print('done')")

    assert Ran(0, "done") == said


async def test_a_hook_that_is_not_there_is_told(place: Path) -> None:
    """And is no veto."""
    hooks = Hooks({"convert": ("/no/such/program",)})

    said = await hooks.run("convert", job(), {}, place)

    assert said.status is None
    assert "/no/such/program cannot be started" in str(said)


async def test_the_key_is_nobodys_business(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the environment is there."""
    monkeypatch.setenv("WAVESPEED_API_KEY", "secret")
    monkeypatch.setenv("OTHER", "there")

    said = await ran(place, "print(os.environ.get('WAVESPEED_API_KEY'), os.environ['OTHER'])")

    assert "None there" == str(said)


async def test_what_hooks_left_behind_is_removed(tmp_path: Path) -> None:
    """After each, and what a killed run left at the next start."""
    hooks = Hooks(work=tmp_path / "work")
    async with hooks.workplace() as directory:
        (directory / "big").write_bytes(bytes(9))
    assert [] == list((tmp_path / "work").iterdir())
    (tmp_path / "work" / "hook-old").mkdir()

    hooks.clear()

    assert not (tmp_path / "work").exists()
