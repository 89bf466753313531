"""What a person is told of a state directory that cannot be used."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.somebody import NOBODY, ordinary, public_directory
from upscaled import errors
from upscaled.ledger import Ledger
from upscaled.ledger.database import unusable


def test_whoever_looks_at_a_foreign_directory_is_told_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's state directory is closed to those who ask for the status."""
    with public_directory() as place:
        state = place / "state"
        Ledger.open(state).close()
        state.chmod(0o700 if os.geteuid() == 0 else 0)
        with ordinary():
            monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
            with pytest.raises(errors.StateError) as raised:
                Ledger.read(state)
            monkeypatch.undo()
        state.chmod(0o700)

    assert "sudo upscaled status" in raised.value.do
    assert "Permission denied" in raised.value.why


def test_the_owner_and_root_are_told_to_look_at_the_disk(tmp_path: Path) -> None:
    """Another user would meet the same."""
    assert "sudo" not in unusable(tmp_path, OSError("it is broken")).do
    shutil.rmtree(tmp_path)
    assert "Check that it exists" in unusable(tmp_path, OSError("it is gone")).do
