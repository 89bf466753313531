"""Colour profiles made from a definition of an RGB space: LittleCMS has only sRGB ready.

Separate because they are made of numbers alone, as ICC.1:2001-04 lays them out: primaries adapted to D50 by Bradford,
and a curve. They are handed to LittleCMS and never written into a file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import Final

Point = tuple[float, float]
"""A chromaticity: x and y of CIE 1931."""

_Vector = tuple[float, float, float]
_Matrix = tuple[_Vector, _Vector, _Vector]

D65: Final[Point] = (0.3127, 0.3290)

SRGB_CURVE: Final = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""IEC 61966-2-1, as a parametric curve's numbers."""

_D50: Final = (0.9642, 1.0, 0.8249)
_BRADFORD: Final[_Matrix] = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))


@dataclass(frozen=True, slots=True)
class Space:
    """An RGB space. ``curve`` is a gamma, or the five numbers of a gamma with a straight part (ICC.1, type 3)."""

    name: str
    primaries: tuple[Point, Point, Point]
    white: Point = D65
    curve: tuple[float, ...] = SRGB_CURVE


@cache
def profile(space: Space) -> bytes:
    """Return an ICC profile of an RGB space. Raises `ValueError` or `struct.error` where its numbers define none."""
    name = space.name.encode("ascii", "replace") + b"\0"
    kind = 0 if len(space.curve) == 1 else 3
    curve = b"para" + bytes(4) + struct.pack(">Hxx", kind) + _fixed(*space.curve)
    columns = zip((b"rXYZ", b"gXYZ", b"bXYZ"), _columns(space), strict=True)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(78 + -(90 + len(name)) % 4),
        b"cprt": b"text" + bytes(4) + b"none\0\0\0\0",
        b"wtpt": b"XYZ " + bytes(4) + _fixed(*_xyz(space.white)),
        **{tag: b"XYZ " + bytes(4) + _fixed(*column) for tag, column in columns},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        table += tag + struct.pack(">2I", start + len(data), len(content))
        data += content
    date = struct.pack(">6H", 2005, 5, 1, 0, 0, 0)
    head = struct.pack(">II", 0x02100000, 0x6D6E7472) + b"RGB XYZ " + date + b"acsp" + bytes(28) + _fixed(*_D50)
    return struct.pack(">I4x", start + len(data)) + head + bytes(128 - 8 - len(head)) + table + data


def _columns(space: Space) -> _Matrix:
    """Return what each primary is in XYZ, where white is D50."""
    red, green, blue = (_xyz(point) for point in space.primaries)
    mixed = _transposed((red, green, blue))
    white = _xyz(space.white)
    shares = _times(_inverse(mixed), white)
    cones = (have / want for have, want in zip(_times(_BRADFORD, _D50), _times(_BRADFORD, white), strict=True))
    first, second, third = cones
    inverse = _inverse(_BRADFORD)

    def adapted(primary: _Vector, share: float) -> _Vector:
        one, two, three = _times(_BRADFORD, primary)
        return _times(inverse, (share * first * one, share * second * two, share * third * three))

    return adapted(red, shares[0]), adapted(green, shares[1]), adapted(blue, shares[2])


def _xyz(point: Point) -> _Vector:
    x, y = point
    if y <= 0:
        raise ValueError("there is no such colour")
    return x / y, 1.0, (1 - x - y) / y


def _times(matrix: _Matrix, vector: _Vector) -> _Vector:
    one, two, three = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)
    return one, two, three


def _transposed(matrix: _Matrix) -> _Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    return (a, d, g), (b, e, h), (c, f, i)


def _inverse(matrix: _Matrix) -> _Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    whole = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    if abs(whole) < 1e-6:
        raise ValueError("these primaries span no colours")
    return (
        ((e * i - f * h) / whole, (c * h - b * i) / whole, (b * f - c * e) / whole),
        ((f * g - d * i) / whole, (a * i - c * g) / whole, (c * d - a * f) / whole),
        ((d * h - e * g) / whole, (b * g - a * h) / whole, (a * e - b * d) / whole),
    )


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))
