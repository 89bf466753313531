"""The keys of the configuration file, section by section: what each takes and what holds when it is left out.

These models are the file as it is written; `settings` is what the program is given. They are separate so that the
program meets no key that still wants resolving (a path that is relative, a tier that depends on the address).
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from upscaled.api import wire
from upscaled.config import values as v
from upscaled.config.listening import Address

KEY_VARIABLE: Final = "WAVESPEED_API_KEY"


class Section(BaseModel):
    """A mapping of known keys and no others."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )


class FileSection(Section):
    """The top of the file. The sections below it are checked each for itself."""

    state_dir: v.Text | None = None
    retain: v.Retain = 365 * 86_400.0
    service: Any = None
    engine: Any = None
    profiles: Any = None
    folders: Any = None
    budget: Any = None
    dashboard: Any = None
    metrics: v.Switch = True
    notify: Any = None
    hooks: Any = None
    log: Any = None


class ServiceSection(Section):
    """Who answers the API, and how hard it may be asked."""

    url: v.Address = v.WAVESPEED
    api_key: v.Secret | None = None
    api_key_file: v.Text | None = None
    tier: Annotated[Literal["bronze", "silver", "gold", "ultra"] | None, v.Choice, v.Auto] = None
    max_in_flight: v.Count = None
    max_per_minute: v.Rate = None
    queue_ahead: v.Ahead = None
    upload: Annotated[Literal["ticket", "binary"], v.Choice] = "ticket"
    on_ambiguous: Annotated[Literal["hold", "resubmit"], v.Choice] = "hold"
    poll_min: v.Interval = 0.5
    timeout: v.Interval = 60.0
    webhook: Any = None


class WebhookSection(Section):
    """How the service tells that a prediction is over."""

    public_url: v.PublicUrl = None
    secret: Annotated[v.Secret | None, v.Auto] = None


class EngineSection(Section):
    """How the built-in engine works, where the service is `embedded`."""

    tier: Annotated[Literal["fast", "standard", "max"], v.Choice] = "standard"
    memory: v.Size = None
    patience: v.Patience = 300.0
    gpu: Annotated[Literal["auto", "off", "force"], v.Choice, v.OffSwitch] = "auto"


class ProfileSection(Section):
    """A named set of request parameters."""

    model: v.Model = wire.IMAGE_UPSCALER
    target_resolution: v.Resolution = "4k"
    output_format: v.Format = "jpeg"
    creativity: v.Creativity = None
    enable_base64_output: v.Switch = False
    enable_sync_mode: v.Switch = False
    params: v.Params = Field(default_factory=dict)


class FolderSection(Section):
    """One pipeline from an inbox to an outbox and an archive."""

    inbox: v.Text | None = None
    outbox: v.Text | None = None
    archive: v.Text | None = None
    failed: v.Text | None = None
    profile: Any = "default"
    recursive: v.Switch = True
    watch: Annotated[Literal["auto", "events", "poll"], v.Choice] = "auto"
    settle: v.AutoDuration = None
    sweep: v.SweepInterval = None
    hold: v.Duration = 0.0
    ignore: v.Texts = Field(default_factory=list)
    name: v.NamePattern = "{stem}{ext}"
    on_collision: Annotated[Literal["version", "skip", "overwrite", "fail"], v.Choice] = "version"
    originals: Annotated[Literal["archive", "keep"], v.Choice] = "archive"
    large_enough: Annotated[Literal["copy", "skip", "submit"], v.Choice] = "copy"
    incomplete: Annotated[Literal["quarantine", "submit"], v.Choice] = "quarantine"
    metadata: Annotated[Literal["keep", "strip-gps", "none"], v.Choice] = "keep"
    provenance: v.Switch = True
    nsfw: Annotated[Literal["deliver", "quarantine"], v.Choice] = "deliver"
    mode: v.FileMode = None
    group: v.Group = None
    priority: v.Priority = 0
    review: Annotated[Literal["off", "required"], v.Choice, v.OffSwitch] = "off"
    hours: v.Hours = ""
    max_new: v.MaxNew = 200
    min_free: v.MinFree = 10**9


REQUIRED: Final = {
    "inbox": "the folder that pictures are dropped into",
    "outbox": "the folder that results are put into",
    "archive": "the folder that originals are moved to",
}
"""Keys of a folder that have no default, and what they are for. The model lets them be left out, so that the rest of a
folder without one is checked all the same."""


class BudgetSection(Section):
    """What may be spent, in dollars."""

    price: v.AutoDollars = None
    per_picture: v.Dollars = None
    per_day: v.Dollars = None
    per_month: v.Dollars = None
    balance_floor: v.Dollars = None


class DashboardSection(Section):
    """The page that shows what goes on."""

    listen: v.Listen = Address("127.0.0.1", 8765)
    token: v.Token = None
    hosts: v.Hosts = Field(default_factory=list)


class NotifySection(Section):
    """Who is told, and how often."""

    urls: v.Texts = Field(default_factory=list)
    digest_after: v.Duration = 120.0
    offline_after: v.Duration = 600.0
    stuck_after: v.Patience = 6 * 3600.0
    balance_below: v.Dollars = None


class HooksSection(Section):
    """Programs that are run."""

    convert: v.Convert = None
    before_submit: v.BeforeSubmit = None
    after_publish: v.AfterPublish = None
    after_failure: v.AfterFailure = None
    timeout: v.Interval = 120.0


class LogSection(Section):
    """What is logged, and in which form."""

    format: Annotated[Literal["auto", "console", "json"], v.Choice] = "auto"
    level: Annotated[Literal["debug", "info", "warning", "error"], v.Choice] = "info"


SECTIONS: Final[dict[str, type[Section]]] = {
    "": FileSection,
    "service": ServiceSection,
    "service.webhook": WebhookSection,
    "engine": EngineSection,
    "profiles": ProfileSection,
    "folders": FolderSection,
    "budget": BudgetSection,
    "dashboard": DashboardSection,
    "notify": NotifySection,
    "hooks": HooksSection,
    "log": LogSection,
}
"""Every section and its keys; of ``profiles`` and ``folders``, those of each one in it."""
