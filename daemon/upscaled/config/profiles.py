"""Profiles: from the keys of the file to the inputs that are sent.

The upscaler and its two siblings have keys of their own, so that their values can be checked before anything is paid.
Any other model gets ``params`` as they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from upscaled.api import wire
from upscaled.config.schema import ProfileSection
from upscaled.config.sections import read_section
from upscaled.config.settings import Profile
from upscaled.config.values import nearest, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from upscaled.config.document import Document
    from upscaled.config.findings import Findings, Keys

UPSCALERS: Final = frozenset(
    {wire.IMAGE_UPSCALER, "wavespeed-ai/ultimate-image-upscaler", "wavespeed-ai/seedvr2/image"}
)
"""The models that take ``target_resolution`` and its companions."""

INLINE: Final = "inline"
"""The name of a profile that is written in a folder."""

_OWN: Final = ("target_resolution", "output_format", "creativity", "enable_base64_output", "enable_sync_mode")


def read_profiles(raw: object, document: Document, findings: Findings) -> dict[str, Profile]:
    """Return the profiles by name, those with mistakes as far as they go. There is always a ``default``."""
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        if not findings.within(("profiles",)):
            message = f"must be a mapping of names to profiles; it is {shown(raw)}"
            findings.add(("profiles",), message, "Write `NAME:` lines below it.")
        raw = {}
    profiles = {"default": build_profile(ProfileSection(), ("profiles", "default"), findings)}
    for name, value in raw.items():
        keys = ("profiles", name)
        _check_name(name, keys, findings)
        profiles[name] = read_profile(value, keys, document, findings)
    return profiles


def read_profile(raw: object, keys: Keys, document: Document, findings: Findings) -> Profile:
    """Return one profile, without what is wrong in it."""
    section = read_section(ProfileSection, raw, keys, document, findings)
    return build_profile(section, keys, findings)


def find_profile(name: str, profiles: Mapping[str, Profile], keys: Keys, findings: Findings) -> Profile:
    """Return the profile that a folder names; one that is not there is noted, and the default stands in for it."""
    if name not in profiles:
        close = nearest(name, profiles)
        remedy = f"Did you mean {close}?" if close else f"There are: {', '.join(profiles)}."
        findings.add(keys, f"there is no profile {shown(name)}", remedy)
    return profiles.get(name) or profiles["default"]


def build_profile(section: ProfileSection, keys: Keys, findings: Findings) -> Profile:
    """Return what is sent for a profile. ``params`` that stand in the way of other keys are noted."""
    own = section.model in UPSCALERS
    _check_params(section, keys, findings, own=own)
    if own:
        return Profile(section.model, _own_inputs(section) | section.params)
    for name in _OWN:
        if name in section.model_fields_set and not findings.within((*keys, "model")):
            message = f"`{name}` is not a key of {section.model}"
            findings.add((*keys, name), message, f"Remove it, or pass it as it is: `params: {{{name}: …}}`.")
    return Profile(section.model, dict(section.params))


def _own_inputs(section: ProfileSection) -> dict[str, Any]:
    inputs: dict[str, Any] = {
        "target_resolution": section.target_resolution,
        "output_format": section.output_format,
    }
    if section.creativity is not None:
        whole = section.creativity.is_integer()
        inputs["creativity"] = int(section.creativity) if whole else section.creativity
    for name in ("enable_base64_output", "enable_sync_mode"):
        if getattr(section, name):
            inputs[name] = True
    return inputs


def _check_params(section: ProfileSection, keys: Keys, findings: Findings, *, own: bool) -> None:
    for name in section.params:
        where = (*keys, "params", name)
        if name == "image":
            findings.add(where, "the picture is upscaled's to send", "Remove it.")
        elif own and name in _OWN:
            findings.add(where, f"`{name}` is a key of the profile", f"Move it up: `{name}:` beside `model:`.")


def _check_name(name: str, keys: Keys, findings: Findings) -> None:
    if name == INLINE:
        findings.add(keys, f"the name {INLINE} stands for a profile written in a folder", "Give it another name.")
    elif not re.fullmatch(r"\w[\w .+-]{0,63}", name):
        # The name may become part of file names through {profile}.
        findings.add(keys, "a profile's name has letters, digits, spaces and . + - _ only", "Give it another name.")
