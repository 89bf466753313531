"""The sections of one file, each made into its part of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from upscaled.config.credentials import NO_KEY, find_key
from upscaled.config.document import kind_of
from upscaled.config.overlap import Place, lexical_chain, overlaps
from upscaled.config.paths import SYSTEM_FILE, NoHome, configured_path, default_state_dir
from upscaled.config.profiles import INLINE, find_profile, read_profile, read_profiles
from upscaled.config.schema import (
    REQUIRED,
    BudgetSection,
    DashboardSection,
    EngineSection,
    FileSection,
    FolderSection,
    HooksSection,
    LogSection,
    NotifySection,
    Section,
    ServiceSection,
    WebhookSection,
)
from upscaled.config.sections import read_section
from upscaled.config.settings import (
    ROLES,
    Budget,
    Dashboard,
    Engine,
    Folder,
    Hooks,
    Log,
    Notify,
    Profile,
    Service,
    Settings,
    Webhook,
    default_failed,
)
from upscaled.config.values import EMBEDDED, WAVESPEED, shown
from upscaled.hooks import PLACEHOLDERS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from upscaled.config.document import Document
    from upscaled.config.findings import Findings, Keys

M = TypeVar("M", bound=Section)

APART: Final = "Give it a directory of its own, outside the others."

_RESOLVED: Final = {"inbox", "outbox", "archive", "failed", "profile", "ignore"}
"""Keys of a folder that want more than to be copied."""


class Parts:
    """Makes settings of a document. Mistakes go to ``findings``; with any of them the settings are of no use."""

    def __init__(
        self, file: Path, document: Document, environ: Mapping[str, str], findings: Findings, *, key: bool = True
    ) -> None:
        self.file = file
        self.document = document
        self.environ = environ
        self.findings = findings
        self.key = key
        self.top = read_section(FileSection, document.data, (), document, findings)

    def settings(self) -> Settings:
        """Return everything that is configured."""
        profiles = read_profiles(self.top.profiles, self.document, self.findings)
        folders = self._folders(profiles)
        state_dir = self._state_dir()
        self._keep_apart(folders, state_dir)
        return Settings(
            path=self.file,
            state_dir=state_dir,
            retain=self.top.retain,
            service=self._service(),
            engine=Engine(**self._section(EngineSection, "engine").model_dump()),
            profiles=profiles,
            folders=tuple(folders.values()),
            budget=self._budget(),
            dashboard=self._dashboard(),
            metrics=self.top.metrics,
            notify=self._notify(),
            hooks=self._hooks(),
            log=self._log(),
            marks=self.findings.marks,
        )

    def _service(self) -> Service:
        section = self._section(ServiceSection, "service")
        name = section.api_key_file
        key_file = None if name is None else self._path(name, ("service", "api_key_file"))
        values = section.model_dump(exclude={"api_key", "api_key_file", "tier", "webhook"})
        # A new account at WaveSpeedAI is bronze; elsewhere there are no accounts, and so no limits but our own.
        tier = section.tier or ("bronze" if section.url == WAVESPEED else None)
        key = NO_KEY
        if self.key:
            key = find_key(section, key_file, self.environ, self.findings, literal=self.file)
        # A variable in the file is no secret in the file.
        file = None if ("service", "api_key") in self.document.expanded else key.file
        webhook = self._webhook(section)
        return Service(api_key=key.secret, key_source=key.source, key_file=file, tier=tier, webhook=webhook, **values)

    def _webhook(self, service: ServiceSection) -> Webhook | None:
        keys = ("service", "webhook")
        section = read_section(WebhookSection, service.webhook, keys, self.document, self.findings)
        if section.public_url is None:
            return None
        where = (*keys, "public_url")
        if service.url == EMBEDDED:
            self.findings.add(where, "is of no use with the built-in engine, which is asked for free", "Remove it.")
        if service.url == WAVESPEED and not section.public_url.startswith("https:"):
            self.findings.add(where, "must begin with https://, as the service posts to nothing else", "Use TLS.")
        if self._section(DashboardSection, "dashboard").listen is None:
            self.findings.add(where, "needs dashboard.listen, which takes what the service posts", "Set that, too.")
        return Webhook(section.public_url, section.secret)

    def _budget(self) -> Budget:
        return Budget(**self._section(BudgetSection, "budget").model_dump())

    def _dashboard(self) -> Dashboard:
        section = self._section(DashboardSection, "dashboard")
        keys = ("dashboard", "token")
        beyond = section.listen is not None and (not section.listen.loopback or section.hosts)
        if beyond and section.token is None and not self.findings.within(keys):
            message = "is missing, and others than this computer can reach the dashboard"
            self.findings.add(keys, message, "Add one; `openssl rand -hex 16` makes it.")
        return Dashboard(section.listen, section.token, tuple(section.hosts))

    def _notify(self) -> Notify:
        section = self._section(NotifySection, "notify")
        return Notify(tuple(section.urls), **section.model_dump(exclude={"urls"}))

    def _hooks(self) -> Hooks:
        section = self._section(HooksSection, "hooks")
        commands = {name: getattr(section, name) for name in PLACEHOLDERS}
        argvs = {name: None if argv is None else tuple(argv) for name, argv in commands.items()}
        return Hooks(**argvs, timeout=section.timeout)

    def _log(self) -> Log:
        section = self._section(LogSection, "log")
        return Log(section.format, section.level)

    def _state_dir(self) -> Path:
        if self.top.state_dir is None:
            return default_state_dir(self.environ, of_machine=self.file == SYSTEM_FILE)
        return self._path(self.top.state_dir, ("state_dir",))

    def _folders(self, profiles: Mapping[str, Profile]) -> dict[int, Folder]:
        """Return the folders by their place in the file; one of which nothing can be made is left out."""
        items = self.top.folders
        if not isinstance(items, list) or not items:
            if not self.findings.within(("folders",)):
                given = "there is none" if items in (None, []) else f"it is {_given(items)}"
                remedy = "Add `folders:` and below it `- inbox: PATH`, with its outbox and archive."
                self.findings.add(("folders",), f"must be a list of at least one folder; {given}", remedy)
            return {}
        folders = {index: self._folder(item, ("folders", index), profiles) for index, item in enumerate(items)}
        return {index: folder for index, folder in folders.items() if folder is not None}

    def _folder(self, raw: object, keys: Keys, profiles: Mapping[str, Profile]) -> Folder | None:
        section = read_section(FolderSection, {} if raw is None else raw, keys, self.document, self.findings)
        name, profile = self._profile(section.profile, (*keys, "profile"), profiles)
        paths = self._directories(section, keys)
        if paths is None:
            return None
        return Folder(
            **paths,
            profile=name,
            params=profile.parameters(),
            ignore=tuple(section.ignore),
            **section.model_dump(exclude=_RESOLVED),
        )

    def _directories(self, section: FolderSection, keys: Keys) -> dict[str, Any] | None:
        """Return the directories of a folder by their roles; None, if one that it must have is not there."""
        if keys in self.findings.wrong:
            return None
        written = {role: text for role in ROLES if (text := getattr(section, role)) is not None}
        missing = REQUIRED.keys() - written.keys()
        for role, purpose in REQUIRED.items():
            if role in missing and not self.findings.within((*keys, role)):
                self.findings.add((*keys, role), "is missing", f"Add `{role}: PATH`, {purpose}.")
        paths = {role: self._path(text, (*keys, role)) for role, text in written.items()}
        return None if missing else {"failed": default_failed(paths["inbox"])} | paths

    def _profile(self, raw: object, keys: Keys, profiles: Mapping[str, Profile]) -> tuple[str, Profile]:
        if isinstance(raw, dict):
            return INLINE, read_profile(raw, keys, self.document, self.findings)
        if not isinstance(raw, str):
            message = f"must be a profile's name or a mapping; it is {_given(raw)}"
            self.findings.add(keys, message, "Put the name in quotes.")
            return "default", profiles["default"]
        return raw, find_profile(raw, profiles, keys, self.findings)

    def _keep_apart(self, folders: Mapping[int, Folder], state_dir: Path) -> None:
        """Note directories that are the same or lie in one another, going by their paths alone."""
        places = []
        for index, folder in folders.items():
            for role in ROLES:
                path: Path = getattr(folder, role)
                places.append(Place(("folders", index, role), role, path, lexical_chain(path)))
        places.append(Place(("state_dir",), "state", state_dir, lexical_chain(state_dir)))
        for overlap in overlaps(places):
            self.findings.add(overlap.keys, overlap.message, APART)

    def _section(self, model: type[M], name: str) -> M:
        return read_section(model, getattr(self.top, name), (name,), self.document, self.findings)

    def _path(self, text: str, keys: Keys) -> Path:
        try:
            return configured_path(text, base=self.file.parent, environ=self.environ)
        except NoHome as error:
            message = f"{shown(text)} is in the home of the user {error.user}, and there is none"
            self.findings.add(keys, message, "Write the whole path.")
        return self.file.parent / text


def _given(raw: object) -> str:
    return kind_of(raw) if isinstance(raw, list | dict) else shown(raw)
