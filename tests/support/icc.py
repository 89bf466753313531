"""Colour profiles made from their definitions, and colours converted by arithmetic: a reference that needs no library.

Matrices are from the primaries by the usual derivation, adapted to D50 by Bradford; layouts are those of ICC.1:2001-04.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def srgb_decode(values: Floats) -> Floats:
    """Return linear light (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def srgb_encode(light: Floats) -> Floats:
    """Return sRGB values of linear light."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


@dataclass(frozen=True)
class Space:
    """An RGB space: primaries and white as x, y; ``gamma`` None is sRGB's own curve."""

    name: str
    primaries: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    white: tuple[float, float]
    gamma: float | None

    def to_xyz(self) -> Floats:
        """Return the matrix from linear RGB to XYZ relative to D50."""
        columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in self.primaries]).T
        x, y = self.white
        white = np.array([x / y, 1.0, (1 - x - y) / y])
        matrix = columns * np.linalg.solve(columns, white)
        scale = np.diag((_BRADFORD @ D50) / (_BRADFORD @ white))
        adapted: Floats = np.linalg.inv(_BRADFORD) @ scale @ _BRADFORD @ matrix
        return adapted

    def encode(self, light: Floats) -> Floats:
        """Return the space's own values of linear light."""
        return srgb_encode(light) if self.gamma is None else np.clip(light, 0, 1) ** (1 / self.gamma)

    def from_srgb(self, pixels: Bytes) -> Bytes:
        """Return sRGB pixels as this space's."""
        light = srgb_decode(pixels / 255.0) @ (np.linalg.inv(self.to_xyz()) @ SRGB.to_xyz()).T
        return np.round(self.encode(light) * 255).astype(np.uint8)

    def profile(self) -> bytes:
        """Return the space as an ICC profile."""
        tags = {name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), self.to_xyz().T, strict=True)}
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(self.gamma))
        return _profile(self.name, b"RGB ", b"XYZ ", tags)


_D65, _D50 = (0.3127, 0.3290), (0.3457, 0.3585)
SRGB = Space("sRGB by definition", ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)), _D65, None)
ADOBE = Space("Adobe RGB (1998)", ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), _D65, 563 / 256)
P3 = Space("Display P3", ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), _D65, None)
PROPHOTO = Space("ProPhoto RGB", ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)), _D50, 1.8)


def grey_profile(gamma: float) -> bytes:
    """Return a profile of grey pixels."""
    return _profile("Grey", b"GRAY", b"XYZ ", {b"kTRC": _curve(gamma)})


def ink_profile() -> bytes:
    """Return a profile of CMYK pixels whose inks are those of `inks`, unlike the plain formula."""
    steps = np.linspace(0, 1, 13)
    c, m, y, k = np.meshgrid(steps, steps, steps, steps, indexing="ij")
    rgb = np.stack([(1 - ink**1.5) * (1 - k) for ink in (c, m, y)], axis=-1).reshape(-1, 3)
    lab = lab_of(rgb)
    table = np.stack([lab[:, 0] * 652.8, (lab[:, 1] + 128) * 256, (lab[:, 2] + 128) * 256], axis=-1)
    words = np.clip(np.round(table), 0, 65535).astype(">u2").tobytes()
    unity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    straight = struct.pack(">2H", 0, 65535)
    lut = (
        b"mft2"
        + bytes(4)
        + bytes([4, 3, 13, 0])
        + unity
        + struct.pack(">2H", 2, 2)
        + 4 * straight
        + words
        + 3 * straight
    )
    return _profile("Test inks", b"CMYK", b"Lab ", {b"A2B0": lut}, b"prtr")


def inks(pixels: Bytes) -> Bytes:
    """Return sRGB pixels as CMYK of the inks of `ink_profile`."""
    coloured = (1 - pixels / 255.0) ** (1 / 1.5)
    flat = np.concatenate([coloured, np.zeros((*pixels.shape[:2], 1))], axis=-1)
    return np.round(flat * 255).astype(np.uint8)


# --- how far colours are apart ---


def lab_of(srgb: Floats) -> Floats:
    """Return CIE L*a*b* (D50) of sRGB values from 0 to 1."""
    relative = (srgb_decode(srgb) @ SRGB.to_xyz().T) / D50
    cube = np.where(relative > 216 / 24389, np.cbrt(relative), (24389 / 27 * relative + 16) / 116)
    x, y, z = cube[..., 0], cube[..., 1], cube[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def delta_e(one: Floats, other: Floats) -> Floats:
    """Return the CIEDE2000 differences of L*a*b* colours (Sharma, Wu, Dalal 2005)."""
    l1, a1, b1 = np.moveaxis(one, -1, 0)
    l2, a2, b2 = np.moveaxis(other, -1, 0)
    seven = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    g = 0.5 * (1 - np.sqrt(seven / (seven + 25.0**7)))
    c1, c2 = np.hypot((1 + g) * a1, b1), np.hypot((1 + g) * a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, (1 + g) * a1)) % 360, np.degrees(np.arctan2(b2, (1 + g) * a2)) % 360
    grey = c1 * c2 == 0
    turn = np.where(grey, 0.0, (h2 - h1 + 180) % 360 - 180)
    # Opposite hues: the sign follows the sum's rule in the paper.
    turn = np.where((np.abs(h2 - h1) == 180) & ~grey, h2 - h1, turn)
    difference = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    total = h1 + h2
    apart = np.abs(h1 - h2) > 180
    hue = np.where(grey, total, np.where(apart, np.where(total < 360, total + 360, total - 360), total) / 2)
    t = 1 - 0.17 * _cos(hue - 30) + 0.24 * _cos(2 * hue) + 0.32 * _cos(3 * hue + 6) - 0.20 * _cos(4 * hue - 63)
    s_l = 1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2)
    s_c, s_h = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    rotation = (
        -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    )
    dl, dc, dh = (l2 - l1) / s_l, (c2 - c1) / s_c, difference / s_h
    distance: Floats = np.sqrt(dl**2 + dc**2 + dh**2 + rotation * dc * dh)
    return distance


def _cos(degrees: Floats) -> Floats:
    cosine: Floats = np.cos(np.radians(degrees))
    return cosine


# --- bytes ---


def _xyz(values: Floats) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def _curve(gamma: float | None) -> bytes:
    if gamma is not None:
        return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    table = np.round(srgb_decode(np.linspace(0, 1, 1024)) * 65535).astype(">u2").tobytes()
    return b"curv" + bytes(4) + struct.pack(">I", 1024) + table


def _text(text: str) -> bytes:
    data = text.encode() + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(data)) + data + bytes(78)


def _profile(name: str, space: bytes, pcs: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr") -> bytes:
    tags = {b"desc": _text(name), b"cprt": b"text" + bytes(4) + b"none\0", b"wtpt": _xyz(D50), **tags}
    place = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for tag, data in tags.items():
        table += tag + struct.pack(">II", place + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = bytes(4) + struct.pack(">I", 0x02400000) + kind + space + pcs + struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    head = struct.pack(">I", 128 + len(table) + len(body)) + head + b"acsp" + bytes(28)
    head += struct.pack(">3i", *(round(value * 65536) for value in D50))
    return head.ljust(128, b"\0") + table + body
