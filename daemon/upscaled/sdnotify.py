"""Tells systemd how the daemon is (sd_notify(3)); does nothing when nobody listens."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> bool:
    """Send one message, such as ``READY=1``; True when there was somebody to tell."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.connect(address)
            sender.sendall(state.encode())
    except OSError:
        return False
    return True
