"""Where a page listens: host and port, and whether anybody but this computer can reach them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """A host, as a name or an IP address without brackets, and a port."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Can only this computer connect to it?"""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_address(text: str) -> Address:
    """Return the address that ``HOST:PORT``, ``[V6]:PORT`` or ``:PORT`` (everywhere) means. Raises `ValueError`."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or not 0 <= int(port) <= 0xFFFF:
        raise ValueError("it has no port")
    bare = host.removeprefix("[").removesuffix("]")
    if ":" in bare and not host.startswith("["):
        raise ValueError("an IPv6 address goes in brackets")
    if not all(char.isalnum() or char in "-._:%" for char in bare):
        raise ValueError("it is no host")
    return Address(bare or "0.0.0.0", int(port))  # noqa: S104 - what ":PORT" asks for
