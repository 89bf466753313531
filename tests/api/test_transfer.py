"""Pictures that come as text, and files on their way out."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscaled import errors
from upscaled.api import transfer
from upscaled.api.transfer import Downloaded, Incoming, Outgoing, decode_output

if TYPE_CHECKING:
    from pathlib import Path


def decoded(text: str, limit: int = transfer.DOWNLOAD_LIMIT) -> tuple[Downloaded, bytes]:
    """Return what an output that is text amounts to."""
    file = io.BytesIO()
    return asyncio.run(decode_output(text, file, limit=limit)), file.getvalue()


@given(
    st.binary(min_size=1, max_size=200), st.sampled_from(["", "data:image/png;base64,", "DATA:Image/PNG;q=1;BASE64,"])
)
def test_base64_is_decoded_bare_and_as_data_uri(data: bytes, head: str) -> None:
    """The type is known only from the latter."""
    found, written = decoded(head + base64.b64encode(data).decode())

    assert Downloaded(len(data), hashlib.sha256(data).hexdigest(), "image/png" if head else "") == found
    assert data == written


@pytest.mark.parametrize("size", [1, 3 * transfer.BLOCK - 1, 3 * transfer.BLOCK, 3 * transfer.BLOCK + 1, 2_000_000])
def test_pictures_larger_than_a_block_are_decoded_whole(size: int) -> None:
    """Around the borders of the blocks."""
    data = bytes(range(251)) * (size // 251 + 1)

    found, written = decoded(base64.b64encode(data[:size]).decode())

    assert data[:size] == written
    assert (size, hashlib.sha256(data[:size]).hexdigest()) == (found.size, found.fingerprint)


def test_lines_and_missing_padding_are_tolerated() -> None:
    """Some encoders break lines, some leave the padding off."""
    assert b"any carnal pleas" == decoded("YW55IGNh\ncm5hbCBw\r\nbGVhcw")[1]


@pytest.mark.parametrize(
    "text",
    [
        "%%%",
        "YQ==YQ==",
        "Y",
        "Zm9v-_",
        "Grüße",
        "https//not-an-address",
        "data:image/png,plain",
        "YQ==" + "A" * (4 * transfer.BLOCK),
        "A" * (4 * transfer.BLOCK - 4) + "YQ==" + "AAAA",
    ],
    ids=lambda text: text[:20],
)
def test_what_is_not_base64_is_trouble(text: str) -> None:
    """Also where a block's end hides it."""
    with pytest.raises(errors.Trouble, match="cannot be decoded"):
        decoded(text)


@pytest.mark.parametrize("text", ["", "  \n", "data:image/png;base64,"])
def test_an_empty_picture_is_trouble(text: str) -> None:
    """It would be published as a file of no bytes."""
    with pytest.raises(errors.Trouble, match="empty"):
        decoded(text)


def test_a_picture_in_text_obeys_the_limit_too() -> None:
    """As a download does."""
    with pytest.raises(errors.Trouble, match="larger than any picture"):
        decoded(base64.b64encode(b"x" * 100).decode(), limit=99)


class Reluctant(io.BytesIO):
    """A file that takes a few bytes at a time, as an unbuffered one may."""

    def write(self, data: object) -> int:
        """Take at most seven."""
        assert isinstance(data, memoryview)
        return super().write(data[:7])


async def test_a_file_that_takes_bytes_little_by_little_gets_them_all() -> None:
    """None is dropped where a write was partial."""
    file = Reluctant()
    incoming = Incoming(file, 1000)
    await incoming.add(b"x" * 100)

    found = await incoming.end("image/png")

    assert b"x" * 100 == file.getvalue()
    assert 100 == found.size


async def test_a_file_goes_out_in_blocks_within_its_frame(tmp_path: Path) -> None:
    """Each block is asked for when the one before was taken, which is told."""
    data = bytes(range(256)) * 3000
    path = tmp_path / "x"
    path.write_bytes(data)
    taken: list[None] = []
    with path.open("rb") as file:
        outgoing = Outgoing(file)
        blocks = [block async for block in outgoing.blocks(lambda: taken.append(None), (b"<", b">"))]

    assert b"<" + data + b">" == b"".join(blocks)
    assert [1, transfer.BLOCK, len(data) - transfer.BLOCK, 1] == [len(block) for block in blocks]
    assert 3 == len(taken)
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (outgoing.fingerprint, outgoing.size)


async def test_an_empty_file_goes_out_as_nothing(tmp_path: Path) -> None:
    """It is refused long before; here it is at least no endless loop."""
    path = tmp_path / "x"
    path.touch()
    with path.open("rb") as file:
        outgoing = Outgoing(file)

        assert [] == [block async for block in outgoing.blocks(lambda: None, (b"", b""))]
