"""The way of a picture, one function a step: the program's table of contents.

Each step is ``async (job, ports) -> Outcome``. It does one effect, says in its docstring what a second run after a
crash meets (invariant I5), and returns what came of it as a value; it writes nothing to the ledger, but for the
intent of the submit step. `upscaled.worker` calls them and commits what `upscaled.job.machine` makes of their
outcomes.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from upscaled.job.model import Job, Outcome, Step
from upscaled.steps.archive import archive, reject
from upscaled.steps.await_ import await_
from upscaled.steps.download import download, verify
from upscaled.steps.guarded import leaving, whole
from upscaled.steps.ports import Ports
from upscaled.steps.prepare import prepare, upload
from upscaled.steps.publish import publish
from upscaled.steps.reuse import reuse
from upscaled.steps.submit import submit

STEPS: Final[Mapping[Step, Callable[[Job, Ports], Awaitable[Outcome]]]] = {
    Step.PREPARE: whole(prepare),
    Step.REUSE: whole(reuse),
    Step.UPLOAD: whole(upload),
    Step.SUBMIT: whole(submit),
    Step.AWAIT: await_,
    Step.DOWNLOAD: download,
    Step.VERIFY: verify,
    Step.PUBLISH: publish,
    Step.ARCHIVE: leaving(archive, "archive"),
    Step.REJECT: leaving(reject, "failed"),
}

__all__ = ["STEPS", "Ports"]
