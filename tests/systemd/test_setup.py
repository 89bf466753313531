from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from upscaled.errors import UsageError
from upscaled.systemd import keys, layout, setup, units

WANTED = units.Wanted(Path("/bin/true"), Path("/etc/up.yaml"), (Path("/srv/photos"),), (Path("/srv/photos"),))


class Manager:
    """Stands in for systemd: remembers what it was asked, and does as it is told."""

    def __init__(self, *, fails: str = "nothing") -> None:
        self.asked: list[str] = []
        self._fails = fails

    def __call__(self, command: Sequence[str]) -> bool:
        """Remember a command, and say how it went."""
        self.asked.append(" ".join(command))
        return self._fails not in self.asked[-1]


def tree(root: Path) -> dict[str, str]:
    """Return every file below a directory with its text."""
    return {str(path.relative_to(root)): path.read_text("utf-8") for path in root.rglob("*") if path.is_file()}


def test_installing_twice_changes_and_restarts_nothing_the_second_time(tmp_path: Path) -> None:
    """A running daemon is not disturbed by a command that was given again."""
    place, first, second = layout.of_machine(tmp_path), Manager(), Manager()

    done = list(setup.install(WANTED, place, start=True, manager=first))
    before = tree(tmp_path)
    again = list(setup.install(WANTED, place, start=True, manager=second))

    assert before == tree(tmp_path)
    assert any(line.startswith("wrote") for line in done)
    assert not any(line.startswith("wrote") for line in again)
    assert "systemctl restart upscaled.service" == first.asked[-1]
    assert "systemctl start upscaled.service" == second.asked[-1]


def test_a_new_folder_is_opened_and_the_daemon_restarted_to_see_it(tmp_path: Path) -> None:
    """What a unit opens is fixed when its process starts."""
    place, manager = layout.of_machine(tmp_path), Manager()
    list(setup.install(WANTED, place, start=True, manager=Manager()))
    more = units.Wanted(WANTED.command, WANTED.config, (*WANTED.writable, Path("/srv/more")), WANTED.awaited)

    done = list(setup.install(more, place, start=True, manager=manager))

    dropin = place.dropin("upscaled.service", layout.FOLDERS_DROPIN)
    assert [f"wrote {dropin}"] == [line for line in done if line.startswith("wrote")]
    assert "ReadWritePaths=-/srv/more" in dropin.read_text("utf-8")
    assert "systemctl restart upscaled.service" == manager.asked[-1]


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("personal", [False, True])
def test_uninstalling_removes_everything_that_was_made(personal: bool, once: bool, tmp_path: Path) -> None:
    """The key and the timer's stamp, too; what a person put there stays, and is not removed by a second try either."""
    place = layout.of_person(tmp_path) if personal else layout.of_machine(tmp_path)
    wanted = units.Wanted(WANTED.command, WANTED.config, WANTED.writable, WANTED.awaited, once=once)
    list(setup.install(wanted, place, start=True, manager=Manager()))
    keys.store("sesame", place)
    if not personal:
        place.stamp.parent.mkdir(parents=True)
        place.stamp.touch()
    theirs = place.dropin("upscaled.service", "override.conf")
    theirs.parent.mkdir(parents=True, exist_ok=True)
    theirs.write_text("[Service]\nNice=5\n")

    list(setup.uninstall(place, manager=Manager()))
    again = list(setup.uninstall(place, manager=Manager()))

    assert [theirs] == [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [] == again


def test_what_systemd_refuses_is_told(tmp_path: Path) -> None:
    """Nothing is said to run that does not."""
    with pytest.raises(UsageError, match="daemon-reload` failed"):
        list(setup.install(WANTED, layout.of_machine(tmp_path), start=True, manager=Manager(fails="daemon-reload")))


def test_without_a_key_it_is_installed_and_not_started(tmp_path: Path) -> None:
    """It would end at once, and be a failed unit before anybody could give it the key."""
    manager = Manager()
    list(setup.install(WANTED, layout.of_machine(tmp_path), start=False, manager=manager))

    assert "systemctl enable upscaled.service" == manager.asked[-1]


def test_what_the_account_may_not_do_is_told_with_its_remedy(tmp_path: Path) -> None:
    """Better now than by a folder that is found in trouble at night."""
    wanted = units.Wanted(Path("/bin/true"), Path("/etc/up.yaml"), (tmp_path,), ())

    [told] = setup.unable(wanted, manager=Manager(fails=str(tmp_path)))

    assert f"may not write in {tmp_path}" in told
    assert "--run-as" in told


def test_the_state_directory_is_left_to_systemd(tmp_path: Path) -> None:
    """It hands over what root left in one only if the directory itself is root's still when the service starts."""
    place, manager = layout.of_machine(tmp_path), Manager()

    list(setup.install(WANTED, place, start=True, manager=manager))

    assert not any("/var/lib/upscaled" in text for name, text in tree(tmp_path).items() if "sysusers" not in name)
    for unit in ("upscaled.service", "upscaled-once.service"):
        assert "StateDirectory=upscaled\n" in units.packaged(unit)


def test_a_key_is_stored_for_its_owner_alone_and_handed_over_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In no unit, and in no file that others may read."""
    monkeypatch.setattr(keys, "encrypted", lambda key: None)
    place = layout.of_machine(tmp_path)

    said = keys.store("sesame", place)

    list(setup.install(WANTED, place, start=True, manager=Manager()))
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and "sesame" in path.read_text("utf-8")]
    assert [place.key] == holding
    assert 0o600 == place.key.stat().st_mode & 0o777
    assert "sesame" not in said
    dropin = place.dropin("upscaled.service", layout.KEY_DROPIN).read_text("utf-8")
    assert f"LoadCredential=wavespeed-api-key:{place.key}" in dropin


def test_a_key_that_others_could_read_is_made_private_by_storing_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even the same one."""
    monkeypatch.setattr(keys, "encrypted", lambda key: None)
    place = layout.of_machine(tmp_path)
    keys.store("sesame", place)
    place.key.chmod(0o644)

    keys.store("sesame", place)

    assert 0o600 == place.key.stat().st_mode & 0o777


@pytest.mark.parametrize("once", [False, True])
def test_every_drop_in_names_the_unit_that_it_is_for(
    once: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever edits the other one changes nothing."""
    monkeypatch.setattr(keys, "encrypted", lambda key: None)
    place = layout.of_machine(tmp_path)
    keys.store("sesame", place)

    list(setup.install(replace(WANTED, once=once), place, start=True, manager=Manager()))

    dropins = list(place.units.glob("*.d/*.conf"))
    assert 2 == len(dropins)
    assert all(f"systemctl edit {each.parent.name.removesuffix('.d')}\n" in each.read_text("utf-8") for each in dropins)


def test_an_encrypted_key_takes_the_place_of_a_plain_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is handed over as what it is."""
    place = layout.of_machine(tmp_path)
    monkeypatch.setattr(keys, "encrypted", lambda key: None)
    keys.store("sesame", place)
    monkeypatch.setattr(keys, "encrypted", lambda key: "c2VhbGVk\n")

    keys.store("sesame", place)

    assert not place.key.exists()
    assert 0o600 == place.encrypted_key.stat().st_mode & 0o777
    text = units.key_dropin(place, layout.DAEMON)
    assert text is not None
    assert f"LoadCredentialEncrypted=wavespeed-api-key:{place.encrypted_key}" in text


def test_a_person_s_key_is_a_file_of_that_person(tmp_path: Path) -> None:
    """A person's service manager has nothing to encrypt it with on every system."""
    place = layout.of_person(tmp_path)

    keys.store("sesame", place)

    assert "sesame\n" == place.key.read_text("utf-8")
    assert 0o600 == place.key.stat().st_mode & 0o777
