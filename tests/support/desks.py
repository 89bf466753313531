"""A dashboard without a daemon: folders on disk, a ledger with jobs made up, and a client of its pages."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from tests.support.house import House, Threads, digest, picture
from tests.support.jobs import NOW, new_job
from upscaled.building import new_id
from upscaled.config import Address
from upscaled.dashboard.access import Access
from upscaled.dashboard.desk import Desk
from upscaled.dashboard.protection import Extras
from upscaled.dashboard.site import create_app
from upscaled.files.thumbnails import Thumbnails
from upscaled.ledger import Ledger
from upscaled.steps.ports import Unguarded
from upscaled.verdicts import Court

TOKEN: Final = "a-token-nobody-knows"
HERE: Final = "http://127.0.0.1:8765"


class Desks:
    """A desk with its house, its ledger and its clock, which the test moves."""

    def __init__(self, root: Path, *, token: str | None = None, folder: dict[str, Any] | None = None) -> None:
        self.house = House(root, service={"url": "embedded"}, folder=folder)
        self.house.document["profiles"]["print"] = {"target_resolution": "2k", "output_format": "png"}
        self.house.write()
        settings = self.house.settings()
        self.ledger = Ledger.open(self.house.state)
        self.time = NOW
        court = Court(self.ledger, {str(each.inbox): each for each in settings.folders}, Unguarded())
        self.desk = Desk(
            self.ledger,
            lambda: settings,
            Threads(),
            court,
            Access(token),
            Thumbnails(self.house.state / "thumbs"),
            new_id,
            now=lambda: self.time,
        )

    def done(self, source: str = "a.jpg", *, number: int = 0, named: str = "", **columns: Any) -> str:
        """Make up a job that is done, with its original and its result on the disk; return its id.

        ``named``: as the ledger calls it, where no disk would.
        """
        original = self._put(self.house.archive / source, number)
        result = self._put(self.house.outbox / source, number + 100, size=(128, 96))
        job = new_job(number, folder=str(self.house.inbox), source=named or source)
        self.ledger.admit([job])
        values = {
            "standing": "done",
            "stage": "archived",
            "finished_at": NOW + number + 1,
            "output": str(result),
            "archived": str(original),
            "fingerprint": digest(original),
            "result_hash": digest(result),
            "result_size": result.stat().st_size,
            "width": 64,
            "height": 48,
            "result_width": 128,
            "result_height": 96,
            **columns,
        }
        self.change(job.id, **values)
        return job.id

    def change(self, job_id: str, **columns: Any) -> None:
        """Change columns of a job as no program would."""
        sets = ", ".join(
            f"{name} = CAST(? AS TEXT)" if isinstance(v, str) else f"{name} = ?" for name, v in columns.items()
        )
        values = [v.encode("utf-8", "surrogateescape") if isinstance(v, str) else v for v in columns.values()]
        self.ledger.change(lambda c: c.execute(f"UPDATE jobs SET {sets} WHERE id = ?", (*values, job_id)).rowcount)

    @staticmethod
    def _put(path: Path, seed: int, size: tuple[int, int] = (64, 48)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        return picture(path, seed=seed, size=size, **({} if path.suffix in {".jpg", ".png"} else {"format": "JPEG"}))

    @asynccontextmanager
    async def client(
        self, base: str = HERE, *, listen: Address | None = None, extras: Extras | None = None
    ) -> AsyncIterator[httpx.AsyncClient]:
        """Give a client of the pages, in process."""
        app = create_app(self.desk, listen or Address("127.0.0.1", 8765), extras)
        transport = httpx.ASGITransport(app, client=("198.51.100.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            yield client


@contextmanager
def desks(root: Path, **options: Any) -> Iterator[Desks]:
    """Give a desk, and close its ledger."""
    made = Desks(root, **options)
    yield made
    made.ledger.close()


def form_token(page: str) -> str:
    """Return what the forms of a page carry."""
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', page)
    assert found is not None
    return found[1]


async def order(client: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    """Give an order as a page of ours does."""
    token = form_token((await client.get("/")).text)
    return await client.post(path, data={"form_token": token, **fields})
