from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from PIL import Image

import upscaled
from tests.config.test_wrong import CASES, Wrong
from tests.support.configs import GOOD
from tests.support.house import COMMAND, House, picture
from upscaled import cli
from upscaled.ledger import Ledger


def call(*arguments: str) -> int:
    """Run the command line in this process; return its exit code."""
    with pytest.raises(SystemExit) as exiting:
        cli.main(arguments)
    assert isinstance(exiting.value.code, int)
    return exiting.value.code


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_wrong_config_is_told_in_words_with_exit_code_2(
    case: Wrong, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message with its place, and never a traceback."""
    monkeypatch.delenv("WAVESPEED_API_KEY", raising=False)
    monkeypatch.setenv("HOME", "/home/ann")
    file = tmp_path / "upscaled.yaml"
    file.write_bytes(case.text if isinstance(case.text, bytes) else case.text.encode())

    assert 2 == call("run", "-c", str(file))

    captured = capsys.readouterr()
    place = str(file) if case.line is None else f"{file}:{case.line}"
    assert "" == captured.out
    assert captured.err.startswith(f"{place}: ")
    assert 1 == captured.err.count(str(file) + ":")
    assert "Traceback" not in captured.err


def test_a_missing_folder_is_not_made_but_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unmounted share must not be replaced by a directory on the system disk."""
    file = tmp_path / "upscaled.yaml"
    file.write_text(GOOD)

    assert 2 == call("run", "-c", str(file))

    told = capsys.readouterr().err
    assert all(f"folders[0].{role}" in told for role in ("inbox", "outbox", "archive"))
    assert [file] == list(tmp_path.iterdir())


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """For bug reports."""
    assert 0 == call("--version")
    assert f"upscaled {upscaled.__version__}\n" == capsys.readouterr().out


@pytest.mark.parametrize("verb", ["init", "check", "demo", "run", "once", "status", "jobs", "show", "serve", "upscale"])
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody has to leave the terminal to learn a verb."""
    assert 0 == call(verb, "--help")
    assert "--help" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["frobnicate"], ["run", "--frobnicate"], ["show"], ["jobs", "--limit", "many"]])
def test_a_command_that_does_not_exist_is_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, in words."""
    assert 2 == call(*arguments)
    assert "Traceback" not in capsys.readouterr().err


def test_before_the_first_run_status_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is no ledger yet."""
    house = House(tmp_path, service={"url": "embedded"})

    assert 4 == call("status", "-c", str(house.config))
    assert "has not run with this state_dir yet" in capsys.readouterr().err


def test_a_job_that_is_not_there_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the way to find those that are."""
    house = House(tmp_path, service={"url": "embedded"})
    assert 0 == call("once", "-c", str(house.config))

    assert 2 == call("show", "zzz", "-c", str(house.config))
    assert "upscaled jobs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "names"), [("--standing", "nope", "waiting"), ("--folder", "/nope", "Inboxes are: ")]
)
def test_jobs_of_what_does_not_exist_are_a_usage_error(
    option: str, value: str, names: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty table would say that all is well there; what there is, is named."""
    house = House(tmp_path, service={"url": "embedded"})
    Ledger.open(house.state).close()

    assert 2 == call("jobs", option, value, "-c", str(house.config))
    assert names in capsys.readouterr().err


def test_jobs_of_an_inbox_are_found_by_each_of_its_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is configured, from beside it, and by way of a link."""
    house = House(tmp_path, service={"url": "embedded"})
    Ledger.open(house.state).close()
    (tmp_path / "link").symlink_to(house.inbox)
    monkeypatch.chdir(tmp_path)

    for name in (str(house.inbox), "inbox", "link", "./archive/../inbox/"):
        assert 0 == call("jobs", "--json", "--standing", "done", "--folder", name, "-c", str(house.config))
    assert "" == capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "remedy"),
    [
        ("serve --memory", "Write it like 500MB or 2GB."),
        ("serve --retain", "Write it like 200ms, 5s, 10m, 2h or 7d."),
        ("prune --older-than", "Write it like 200ms, 5s, 10m, 2h or 7d."),
    ],
)
def test_a_size_or_duration_that_is_none_is_told_with_one_that_is(
    command: str, remedy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its own kind."""
    monkeypatch.setenv("UPSCALED_CONFIG", str(House(tmp_path, service={"url": "embedded"}).config))

    assert 2 == call(*command.split(), "x")

    told = capsys.readouterr().err
    assert f"upscaled: {command.split()[1]} must be a " in told
    assert told.endswith(f"  -> {remedy}\n")


def test_the_built_in_engine_has_no_bills_to_reconcile_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor is a model called `billings/search` spoken of."""
    house = House(tmp_path, service={"url": "embedded"})
    Ledger.open(house.state).close()

    assert 2 == call("spend", "--reconcile", "-c", str(house.config))
    told = capsys.readouterr()
    assert ("", True) == (told.out, "The built-in engine has no bills" in told.err)


@pytest.mark.parametrize("listen", ["8766", "localhost:", "localhost:http", "localhost:99999"])
def test_serve_refuses_what_is_no_address(listen: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is started."""
    assert 2 == call("serve", "--listen", listen)
    assert "no address to listen on" in capsys.readouterr().err


def test_init_makes_a_house_that_works_and_leaves_one_that_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run twice, it changes nothing the second time."""
    monkeypatch.delenv("WAVESPEED_API_KEY", raising=False)
    home = tmp_path / "home"
    assert 0 == call("init", str(home))
    text = (home / "upscaled.yaml").read_text("utf-8")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))

    assert 0 == call("check", "-c", str(home / "upscaled.yaml"))
    assert 0 == call("init", str(home))

    assert text == (home / "upscaled.yaml").read_text("utf-8")
    told = capsys.readouterr().out
    assert "Everything is there already" in told
    example = Path(told.split("All settings with their defaults: ")[1].splitlines()[0])
    assert "\nfolders:\n" in example.read_text("utf-8")


def test_check_tells_in_json_what_is_wrong_and_how_to_mend_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A service that is not there, in a house that is."""
    house = House(tmp_path, service={"url": "http://127.0.0.1:9", "api_key": "k"})

    assert 2 == call("check", "--json", "-c", str(house.config))

    found = json.loads(capsys.readouterr().out)
    assert any(check["ok"] is False and check["name"] == "service" for check in found)
    assert all(check["remedy"] for check in found if check["ok"] is False)


@pytest.mark.parametrize("verb", [["check"], ["plan"], ["spend", "--reconcile"]])
def test_what_asks_the_built_in_engine_leaves_the_daemons_alone(verb: list[str], tmp_path: Path) -> None:
    """Its directory is one process's and one user's: a part that is being written there is not to be cleared."""
    house = House(tmp_path, service={"url": "embedded"})
    assert 0 == call("once", "-c", str(house.config))
    (house.state / "engine" / "outputs" / ".part-0123").write_bytes(b"half of a picture")
    before = {path: path.stat().st_mtime_ns for path in (house.state / "engine").rglob("*")}

    call(*verb, "-c", str(house.config))

    assert before == {path: path.stat().st_mtime_ns for path in (house.state / "engine").rglob("*")}


def test_check_makes_no_state_directory(tmp_path: Path) -> None:
    """It would be the user's who checks, not the one's who runs."""
    house = House(tmp_path, service={"url": "embedded"})

    assert 0 == call("check", "-c", str(house.config))
    assert not house.state.exists()


def test_what_the_system_refuses_is_told_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The path and why."""
    (tmp_path / "file").touch()

    assert 1 == call("init", str(tmp_path / "file"))
    assert f"upscaled: {tmp_path / 'file' / 'inbox'}: Not a directory\n" == capsys.readouterr().err


def test_a_directory_that_is_gone_is_no_place_to_start_from(tmp_path: Path) -> None:
    """Somebody removed it in another terminal."""
    gone = tmp_path / "gone"
    gone.mkdir()

    command = f'rmdir "{gone}"; "{COMMAND}" check'
    found = subprocess.run(["sh", "-c", command], cwd=gone, capture_output=True, text=True, check=False)

    assert 1 == found.returncode
    assert "upscaled: The current directory is not there any more\n  -> cd to another one.\n" == found.stderr


@pytest.mark.parametrize(
    ("where", "code", "told"),
    [
        (">/dev/full", 1, "upscaled: The output cannot be written: No space left on device\n"),
        ("| true; exit $PIPESTATUS", 1, ""),
        (">&-", 0, ""),
        (">&- 2>&-", 0, ""),
    ],
)
def test_an_output_that_takes_nothing_costs_no_traceback(where: str, code: int, told: str) -> None:
    """A full disk, a reader that has seen enough, a shell that closed it."""
    command = f'"{COMMAND}" --help {where}'
    found = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)

    assert (code, told) == (found.returncode, found.stderr)


def test_the_demo_upscales_a_picture_on_the_real_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first thing anybody tries."""
    holiday = picture(tmp_path / "holiday.png", size=(48, 32))

    assert 0 == call("demo", str(holiday), "--tier", "fast")

    told = capsys.readouterr().out
    result = Path(told.split(" -> ")[1].split(" (")[0].strip())
    assert Path(told.split("side by side: ")[1].splitlines()[0]) == result.with_name("holiday-comparison.png")
    with Image.open(result.with_name("holiday-comparison.png")) as both:
        assert (1284, 676) == both.size
    with Image.open(result) as image:
        assert (3840, 2560) == image.size
    assert holiday.read_bytes() == (result.parents[1] / "originals" / "holiday.png").read_bytes()


def test_the_demo_tells_at_once_of_each_file_that_it_does_not_upscale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What an inbox would wait for, leave alone or refuse; where nothing else is given, no engine is started."""
    whole = picture(tmp_path / "whole.jpg").read_bytes()
    contents = {"cut.jpg": whole[:-99], "note.md": b"# A note", "empty.jpg": b"", ".hidden.jpg": whole}
    files = [tmp_path / name for name in contents]
    for file in files:
        file.write_bytes(contents[file.name])

    assert 1 == call("demo", *map(str, files))

    told = capsys.readouterr().out.splitlines()
    assert [f"{file} is not upscaled" for file in files] == [line.partition(":")[0] for line in told]
    reasons = ("incomplete: JPEG has no end marker", "not a picture", "empty: ", "files of such a name (.*)")
    assert all(f": {reason}" in line for reason, line in zip(reasons, told, strict=True)), told


def test_the_demo_upscales_the_others_and_two_of_one_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is refused shows in the exit code; none takes another's place."""
    (tmp_path / "b").mkdir()
    files = [tmp_path / "note.md", picture(tmp_path / "a.png"), picture(tmp_path / "b" / "a.png", seed=1)]
    files[0].touch()

    assert 1 == call("demo", *map(str, files), "--tier", "fast")

    told = capsys.readouterr().out
    assert f"{files[0]} is not upscaled: empty" in told
    assert ["a.png (64x48)", "a~2.png (64x48)"] == sorted(
        line.partition(" -> ")[0] for line in told.splitlines() if line.startswith("a") and "(64x48) -> " in line
    )


def test_the_demo_refuses_a_picture_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Before it makes any folder."""
    assert 2 == call("demo", "/nowhere/picture.jpg")
    assert "There is no picture" in capsys.readouterr().err
