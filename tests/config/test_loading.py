"""Which file is read, what its values become, and what stands in for those that are not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.configs import FOLDER, GOOD, load_text, problems_in
from upscaled.config import Address, Budget, Dashboard, Folder, Hooks, Log, Notify, Service, find, load
from upscaled.errors import ConfigError
from upscaled.job.model import Parameters

UPSCALER = Parameters("wavespeed-ai/image-upscaler", {"target_resolution": "4k", "output_format": "jpeg"})


# --- which file ------------------------------------------------------------------------------------------------------


def test_the_file_on_the_command_line_comes_first(tmp_path: Path) -> None:
    """-c FILE beats the variable, and is relative to the working directory."""
    found = find(Path("mine.yaml"), environ={"UPSCALED_CONFIG": "/other.yaml"}, cwd=tmp_path)

    assert tmp_path / "mine.yaml" == found


def test_the_variable_comes_second(tmp_path: Path) -> None:
    """$UPSCALED_CONFIG beats ./upscaled.yaml, and an empty one is no answer."""
    (tmp_path / "upscaled.yaml").touch()

    assert Path("/other.yaml") == find(None, environ={"UPSCALED_CONFIG": "/other.yaml"}, cwd=tmp_path)
    assert tmp_path / "upscaled.yaml" == find(None, environ={"UPSCALED_CONFIG": ""}, cwd=tmp_path)


def test_the_system_file_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing nearer, /etc/upscaled/config.yaml is read."""
    system = tmp_path / "etc.yaml"
    system.touch()
    monkeypatch.setattr("upscaled.config.loading.SYSTEM_FILE", system)

    assert system == find(None, environ={}, cwd=tmp_path)


def test_without_any_file_init_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first-time user is told what to do, not that a path does not exist."""
    monkeypatch.setattr("upscaled.config.loading.SYSTEM_FILE", tmp_path / "etc.yaml")

    with pytest.raises(ConfigError) as caught:
        load(None, environ={}, cwd=tmp_path)

    [problem] = caught.value.problems
    assert "upscaled init" in problem.remedy


@pytest.mark.parametrize(
    ("name", "message"),
    [("gone.yaml", "does not exist"), (".", "is a directory"), ("upscaled.yaml/x", "Not a directory")],
)
def test_a_file_that_cannot_be_read_is_one_problem(name: str, message: str, tmp_path: Path) -> None:
    """Missing, a directory, or below a file: each says so."""
    (tmp_path / "upscaled.yaml").touch()

    with pytest.raises(ConfigError) as caught:
        load(Path(name), environ={}, cwd=tmp_path)

    [problem] = caught.value.problems
    assert message in problem.message
    assert problem.remedy


def test_a_file_without_permission_is_one_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permission denied is said in the system's words."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)

    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        load(Path("c.yaml"), environ={}, cwd=tmp_path)


def test_a_huge_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    """Naming a picture by mistake does not fill the memory."""
    [problem] = problems_in(b"#" * 2_000_000, tmp_path)

    assert "larger than" in problem.message


def test_a_path_with_nul_is_one_problem(tmp_path: Path) -> None:
    """Even that is a sentence and no traceback."""
    with pytest.raises(ConfigError, match="the path is not valid"):
        load(Path("a\0b"), environ={}, cwd=tmp_path)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    """Windows editors write one."""
    assert load_text(b"\xef\xbb\xbf" + GOOD.encode(), tmp_path)


# --- values ----------------------------------------------------------------------------------------------------------


def test_a_small_configuration_has_the_documented_defaults(tmp_path: Path) -> None:
    """What is not written is as the documentation says."""
    settings = load_text(GOOD, tmp_path)

    assert tmp_path / "upscaled.yaml" == settings.path
    assert Path("/home/ann/.local/state/upscaled") == settings.state_dir
    assert Service(url="embedded") == settings.service
    expected = Folder(
        inbox=tmp_path / "in",
        outbox=tmp_path / "out",
        archive=tmp_path / "arc",
        failed=tmp_path / "failed",
        profile="default",
        params=UPSCALER,
    )
    assert (expected,) == settings.folders
    assert UPSCALER == settings.profiles["default"].parameters()
    assert (Budget(), Dashboard(Address("127.0.0.1", 8765)), True) == (
        settings.budget,
        settings.dashboard,
        settings.metrics,
    )
    assert (Notify(), Hooks(), Log()) == (settings.notify, settings.hooks, settings.log)


def test_everything_that_is_written_arrives(tmp_path: Path) -> None:
    """Each key of a folder, the service and the log, in the program's units."""
    text = """
state_dir: ~/state
service: {url: https://up.example:8443/api/v3/, api_key: abc, tier: silver, max_in_flight: 7, max_per_minute: 30,
          queue_ahead: 0, upload: binary, on_ambiguous: resubmit, poll_min: 200ms, timeout: 2m}
profiles: {soft: {target_resolution: 8k, output_format: png, creativity: -1.5, enable_base64_output: true,
                  enable_sync_mode: true, params: {seed: 4}}}
folders:
- inbox: /a/in
  outbox: /a/../b//out
  archive: ~/arc
  failed: //f/failed
  profile: soft
  recursive: no
  watch: poll
  settle: 0
  sweep: 1.5m
  hold: 2h
  ignore: ["*.tmp", "!Thumbs.db"]
  name: "{stem}-{resolution}{ext}"
  on_collision: fail
  incomplete: submit
  priority: -3
budget: {price: 0.01}
log: {format: json, level: debug}
"""
    settings = load_text(text, tmp_path)

    service = settings.service
    assert ("https://up.example:8443", "silver", 7, 30.0, 0) == (
        service.url,
        service.tier,
        service.max_in_flight,
        service.max_per_minute,
        service.queue_ahead,
    )
    assert ("binary", "resubmit", 0.2, 120.0) == (
        service.upload,
        service.on_ambiguous,
        service.poll_min,
        service.timeout,
    )
    assert service.api_key is not None
    assert "abc" == service.api_key.get_secret_value()
    inputs = {
        "target_resolution": "8k",
        "output_format": "png",
        "creativity": -1.5,
        "enable_base64_output": True,
        "enable_sync_mode": True,
        "seed": 4,
    }
    expected = Folder(
        inbox=Path("/a/in"),
        outbox=Path("/b/out"),
        archive=Path("/home/ann/arc"),
        failed=Path("/f/failed"),
        profile="soft",
        params=Parameters("wavespeed-ai/image-upscaler", inputs),
        recursive=False,
        watch="poll",
        settle=0.0,
        sweep=90.0,
        hold=7200.0,
        ignore=("*.tmp", "!Thumbs.db"),
        name="{stem}-{resolution}{ext}",
        on_collision="fail",
        incomplete="submit",
        priority=-3,
    )
    assert (expected,) == settings.folders
    assert (Path("/home/ann/state"), 0.01) == (settings.state_dir, settings.budget.price)
    assert Log("json", "debug") == settings.log


def test_values_that_are_in_force_anyway_may_be_written_out(tmp_path: Path) -> None:
    """A default is no mistake."""
    text = GOOD + '    originals: archive\n    large_enough: submit\n    hours: ""\n    max_new: null\n'
    text += "dashboard: {listen: off}\nmetrics: off\nnotify: {urls: [], digest_after: 2m}\nbudget: {per_day: null}\n"

    assert [] == problems_in(text, tmp_path)
    assert [] == problems_in(GOOD + 'dashboard: {listen: "off"}\n', tmp_path)


def test_paths_are_absolute_from_a_relative_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the working directory is called, a relative path starts at the file's."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)

    settings = load(Path("sub/c.yaml"), environ={"HOME": "/home/ann"}, cwd=Path())

    assert (tmp_path / "sub" / "c.yaml", tmp_path / "sub" / "in") == (settings.path, settings.folders[0].inbox)


def test_a_key_without_a_value_is_as_good_as_left_out(tmp_path: Path) -> None:
    """Whoever empties a line or a section does not have to delete it."""
    text = GOOD + "    settle:\n    priority:\n    failed:\nlog:\nbudget:\n  price:\nprofiles:\n  soft:\n"

    assert load_text(GOOD, tmp_path).folders == load_text(text, tmp_path).folders


def test_the_profile_may_be_written_in_the_folder(tmp_path: Path) -> None:
    """A mapping in place is a profile of its own."""
    [folder] = load_text(GOOD + "    profile: {target_resolution: 2k}\n", tmp_path).folders

    assert ("inline", "2k") == (folder.profile, folder.params.target_resolution)


def test_an_alias_and_a_merge_spare_repetition(tmp_path: Path) -> None:
    """Plain YAML works: what several folders have in common is written once, and each may say otherwise."""
    text = GOOD.replace("- inbox", "- &a\n    inbox") + "    hold: 5s\n    priority: 1\n"
    text += "  - {<<: *a, inbox: in2, priority: 2}\n"

    folders = load_text(text, tmp_path).folders

    assert [(tmp_path / "in", 5.0, 1), (tmp_path / "in2", 5.0, 2)] == [(f.inbox, f.hold, f.priority) for f in folders]


def test_folders_may_share_an_outbox_an_archive_and_a_failed_folder(tmp_path: Path) -> None:
    """Only what leads pictures round in a circle is refused."""
    text = GOOD + "  - {inbox: in2, outbox: out, archive: arc}\n"

    assert [tmp_path / "failed"] * 2 == [folder.failed for folder in load_text(text, tmp_path).folders]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"STATE_DIRECTORY": "/var/lib/upscaled"}, "/var/lib/upscaled"),
        ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, "/var/lib/a"),
        ({"XDG_STATE_HOME": "/x"}, "/x/upscaled"),
        ({"XDG_STATE_HOME": "relative"}, "/home/ann/.local/state/upscaled"),
        ({}, "/home/ann/.local/state/upscaled"),
    ],
)
def test_the_state_directory_follows_systemd_and_xdg(environ: dict[str, str], expected: str, tmp_path: Path) -> None:
    """As a service it lies where systemd says, else with the user's state."""
    assert Path(expected) == load_text(GOOD, tmp_path, environ).state_dir


def test_without_a_home_in_the_environment_the_users_is_looked_up(tmp_path: Path) -> None:
    """A service manager may pass no HOME."""
    assert load_text(GOOD, tmp_path, {"HOME": ""}).state_dir.is_relative_to(os.path.expanduser("~"))  # noqa: PTH111 - what it is compared with


def test_loading_touches_no_folder(tmp_path: Path) -> None:
    """A share that hangs does not keep a typo from being seen, and nothing is made."""
    load_text(GOOD, tmp_path)

    assert [tmp_path / "upscaled.yaml"] == list(tmp_path.iterdir())


def test_a_setting_can_be_found_again_in_the_file(tmp_path: Path) -> None:
    """Later checks name the line too; of a key that is not written, the line of its folder."""
    settings = load_text(GOOD, tmp_path)

    assert 4 == settings.problem(("folders", 0, "outbox"), "m").line
    assert 3 == settings.problem(("folders", 0, "failed"), "m").line
    assert "folders[0].failed" == settings.problem(("folders", 0, "failed"), "m").key


# --- variables -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("${HOME}/in", "/home/ann/in"),
        ("${NONE:-/default}/in", "/default/in"),
        ("${EMPTY:-/default}/in", "/default/in"),
        ("/a${EMPTY}b", "/ab"),
        ("/a$$b", "/a$b"),
        ("/a$${HOME}", "/a${HOME}"),
        ("/a$b$", "/a$b$"),
        ("${HOME}${HOME}", "/home/ann/home/ann"),
        ("${NONE:-/a:-b}", "/a:-b"),
        ("/${NUMBER}", "/5"),
    ],
)
def test_variables_are_expanded_in_text(written: str, expected: str, tmp_path: Path) -> None:
    """Set, unset with a default, empty, escaped, and a dollar sign that means itself."""
    environ = {"EMPTY": "", "NUMBER": "5"}

    [folder] = load_text(GOOD.replace("inbox: in", f"inbox: {written}"), tmp_path, environ).folders

    assert Path(expected) == folder.inbox


def test_a_variable_may_hold_a_number_a_switch_or_nothing(tmp_path: Path) -> None:
    """Where a key takes something else than text, the variable is read as YAML would read it."""
    text = GOOD + '    priority: ${N}\n    recursive: "${OFF}"\n    settle: ${S}\n    sweep: ${EMPTY}\n    name: ${T}\n'

    environ = {"N": "-7", "OFF": "off", "S": "3s", "EMPTY": "", "T": "{stem}"}
    [folder] = load_text(text, tmp_path, environ).folders

    assert (-7, False, 3.0, None, "{stem}") == (
        folder.priority,
        folder.recursive,
        folder.settle,
        folder.sweep,
        folder.name,
    )


def test_under_params_quotes_decide_what_a_variable_is(tmp_path: Path) -> None:
    """No type is known there, so a number is a number unless it is quoted."""
    text = GOOD + "profiles:\n  p:\n    model: a/b\n    params:\n      scale: ${N}\n      name: '${N}'\n"

    assert {"scale": 4, "name": "4"} == load_text(text, tmp_path, {"N": "4"}).profiles["p"].inputs


def test_a_numeric_text_stays_text_where_text_is_wanted(tmp_path: Path) -> None:
    """A key made of digits only is a key."""
    service = load_text(FOLDER + "service: {api_key: '${K}'}\n", tmp_path, {"K": "123456"}).service

    assert service.api_key is not None
    assert "123456" == service.api_key.get_secret_value()


def test_a_variable_that_is_not_text_is_a_problem(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 reach the environment as surrogates."""
    [problem] = problems_in(GOOD + "    failed: ${X}\n", tmp_path, {"X": "\udcff"})

    assert "not UTF-8" in problem.message


def test_times_and_dates_are_text(tmp_path: Path) -> None:
    """YAML 1.1 would make 22:00 a number and 2024-01-01 a date."""
    text = GOOD + "profiles: {p: {model: a/b, params: {at: 22:00, on: 2024-01-01, oct: 010, e: 1e3, no: 1_000}}}\n"

    expected = {"at": "22:00", "on": "2024-01-01", "oct": 10, "e": 1000.0, "no": "1_000"}
    assert expected == load_text(text, tmp_path).profiles["p"].inputs
