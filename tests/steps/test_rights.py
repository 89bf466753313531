"""Whose results are: what a folder asks for and cannot have is said once, and costs no result."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.steps.test_written import Dirs, Sender, after, published, rendered, sha, world
from upscaled.job.model import Done
from upscaled.steps.download import download
from upscaled.steps.publish import publish


def refuse(_descriptor: int, *_arguments: int) -> None:
    """Do as the kernel does for a group that one is not in, or a file that is another's."""
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


async def test_rights_that_cannot_be_given_are_said_once_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pictures are delivered all the same."""
    folder = Dirs(tmp_path, mode=0o640, group=4242)
    ports = world(folder, Sender())
    monkeypatch.setattr(os, "fchown", refuse)
    with capture_logs() as logs:
        for name in ("a.jpg", "b.jpg"):
            at = rendered(folder="/in", source=name, id=f"job-{name[0]}")
            for step in (download, publish):
                outcome = await step(at, ports)
                assert isinstance(outcome, Done)
                at = after(at, outcome)
            assert sha(published(at)) == at.result_hash
            assert at.output is not None
            assert 0o640 == os.stat(at.output).st_mode & 0o777  # noqa: PTH116 - a test may wait for its disk

    said = [entry for entry in logs if entry["event"] == "result.rights"]
    assert ["group: Operation not permitted"] == [entry["refused"] for entry in said]
