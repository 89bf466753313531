"""`upscaled init`: what it writes is a configuration that works."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from upscaled.config import initialise, load, starter, verify_folders
from upscaled.errors import ConfigError

EVERYTHING = ["inbox", "upscaled", "originals", "failed", "upscaled.yaml"]


def test_init_makes_folders_and_a_configuration_that_is_right(tmp_path: Path) -> None:
    """Without a key it is the built-in engine, and a run would find nothing to complain about."""
    created = initialise(tmp_path / "new", environ={})

    assert [tmp_path / "new" / name for name in EVERYTHING] == created
    settings = load(None, environ={"HOME": "/home/ann"}, cwd=tmp_path / "new")
    assert settings.service.embedded
    assert [] == verify_folders(settings)
    assert set(EVERYTHING) == {path.name for path in (tmp_path / "new").iterdir()}


def test_init_with_a_key_chooses_the_service(tmp_path: Path) -> None:
    """Whoever has set a key wants it used."""
    environ = {"WAVESPEED_API_KEY": "k", "HOME": "/home/ann"}

    initialise(tmp_path, environ=environ)

    service = load(None, environ=environ, cwd=tmp_path).service
    assert ("https://api.wavespeed.ai", "bronze") == (service.url, service.tier)


def test_init_again_changes_nothing(tmp_path: Path) -> None:
    """It can be run at any time."""
    initialise(tmp_path, environ={})
    (tmp_path / "upscaled.yaml").write_text(starter(keyed=False) + "# mine\n")

    assert [] == initialise(tmp_path, environ={})
    assert (tmp_path / "upscaled.yaml").read_text().endswith("# mine\n")


def test_init_makes_the_folders_that_an_existing_configuration_names(tmp_path: Path) -> None:
    """A folder added to the file is made by the same command."""
    text = starter(keyed=False).replace("outbox: upscaled ", "outbox: results")
    (tmp_path / "upscaled.yaml").write_text(text)

    made = initialise(tmp_path, environ={"HOME": "/home/ann"})

    assert [tmp_path / name for name in ("inbox", "results", "originals", "failed")] == made


def test_init_takes_a_relative_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is typed: `upscaled init`, and again `upscaled init photos`."""
    monkeypatch.chdir(tmp_path)

    first = initialise(Path("photos"), environ={})
    (tmp_path / "photos" / "inbox").rmdir()

    assert [tmp_path / "photos" / name for name in EVERYTHING] == first
    assert [tmp_path / "photos" / "inbox"] == initialise(Path("photos"), environ={"HOME": "/home/ann"})


def test_init_does_not_touch_a_wrong_configuration(tmp_path: Path) -> None:
    """It says what is wrong instead."""
    (tmp_path / "upscaled.yaml").write_text("folders: 5\n")

    with pytest.raises(ConfigError):
        initialise(tmp_path, environ={})

    assert [tmp_path / "upscaled.yaml"] == list(tmp_path.iterdir())


def test_init_finishes_what_a_crash_left_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration comes last and whole: without it, the next try does everything."""

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", crash)
        with pytest.raises(KeyboardInterrupt):
            initialise(tmp_path, environ={})
    assert not (tmp_path / "upscaled.yaml").exists()

    assert [tmp_path / "upscaled.yaml"] == initialise(tmp_path, environ={})
    assert starter(keyed=False) == (tmp_path / "upscaled.yaml").read_text()


def test_init_works_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory card, or a share."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)

    initialise(tmp_path, environ={})

    assert set(EVERYTHING) == {path.name for path in tmp_path.iterdir()}
    assert starter(keyed=False) == (tmp_path / "upscaled.yaml").read_text()


def test_init_keeps_a_configuration_that_appears_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them at once, or an editor: what is there first stays."""
    real = os.fsync

    def race(descriptor: int) -> None:
        (tmp_path / "upscaled.yaml").write_text("mine")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", race)

    created = initialise(tmp_path, environ={})

    assert tmp_path / "upscaled.yaml" not in created
    assert "mine" == (tmp_path / "upscaled.yaml").read_text()


@pytest.mark.parametrize("keyed", [True, False])
def test_the_first_configuration_is_plain_ascii_and_fits_a_screen(keyed: bool) -> None:
    """Any editor shows it, all of it."""
    text = starter(keyed=keyed)

    assert text.isascii()
    assert len(text.splitlines()) < 25
    assert max(map(len, text.splitlines())) <= 100
