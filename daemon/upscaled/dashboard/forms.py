"""Forms: their fields, once it is sure that they come from a page of ours."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from upscaled.dashboard import protection
from upscaled.dashboard.desk import Desk

FIELDS = 20
"""The most fields of a form."""


async def form_of(desk: Desk, request: Request) -> dict[str, str] | None:
    """Return a form's fields, or None when it does not come from a page of ours."""
    body = (await request.body()).decode("utf-8", "surrogateescape")
    try:
        fields = dict(parse_qsl(body, keep_blank_values=True, max_num_fields=FIELDS, errors="surrogateescape"))
    except ValueError:
        return None
    session = protection.session_of(request.headers)
    return fields if desk.access.from_us(fields.pop("form_token", ""), session) else None


def not_from_us() -> Response:
    """Return what is said to a form that is not ours, or was on a page from before the daemon was started again."""
    return protection.refused(403, "This form is not from a page of this run of upscaled. Reload the page; try again.")


def own_path(target: str) -> str:
    """Return a path of ours to go to, never another site."""
    good = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if good and target.isascii() else "/"


def onward(desk: Desk, target: str, text: str) -> Response:
    """Go to a page of ours and have it say something."""
    path, _, query = own_path(target).partition("?")
    keep = "&".join(part for part in query.split("&") if part and not part.startswith("said="))
    said = urlencode({"said": desk.sayings.keep(text)})
    return RedirectResponse(f"{path}?{keep}{'&' if keep else ''}{said}", 303)
