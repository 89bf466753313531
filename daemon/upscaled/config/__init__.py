"""Configuration: from YAML to frozen settings, with every mistake reported at once.

The way of a file: `loading` finds and reads it; `document` makes data of the text and remembers the lines; `sections`
checks each section against its model in `schema`, whose kinds of value are in `values`; `profiles`, `credentials` and
`overlap` decide what no single section can, and `parts` puts it together; `settings` is what comes out. `directories`
looks at the disk afterwards, and `initial` writes a first configuration.
"""

from __future__ import annotations

from upscaled.config.credentials import exposed_key
from upscaled.config.directories import make_failed_folders, make_folders, verify_folders
from upscaled.config.findings import Marks
from upscaled.config.initial import EXAMPLE, initialise, starter
from upscaled.config.listening import Address
from upscaled.config.loading import find, load
from upscaled.config.paths import default_state_dir
from upscaled.config.settings import (
    TIERS,
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
    Tier,
    Webhook,
)

__all__ = [
    "EXAMPLE",
    "TIERS",
    "Address",
    "Budget",
    "Dashboard",
    "Engine",
    "Folder",
    "Hooks",
    "Log",
    "Marks",
    "Notify",
    "Profile",
    "Service",
    "Settings",
    "Tier",
    "Webhook",
    "default_state_dir",
    "exposed_key",
    "find",
    "initialise",
    "load",
    "make_failed_folders",
    "make_folders",
    "starter",
    "verify_folders",
]
