"""Tells how many of their 16 bits PNG films use, from their brightest levels: `exports_of`, `depth_of`.

PACS exports keep films of 10, 12 or 14 bits unscaled in 16-bit PNG, which read at full scale are nearly black. Depth is
a property of an export, not of a film, so the films of one folder are held against each other:

1. A file that tells is believed: an `sBIT` chunk (ISO 15948, 11.3.3.4).
2. The depth of an export is the smallest of 8, 10, 12, 14 and 16 bits that holds 9 of 10 films; of fewer than 8 films,
   the smallest of 8, 12 and 16, because a sixteenth of the range is too little for a film and a quarter is not.
3. Films below a sixteenth of that range are a second export where they are 1 film in 10 or more, and its depth is found
   in the same way. Rarer ones are dark films of the first export, and stay dark.
4. A film alone, of which no folder is known, is a folder of one.

A depth is doubtful where the folder has two exports, where a film fits none or is below a sixteenth of its range, and
where a film alone is not of 16 bits.
"""

from collections.abc import Sequence

DOUBTFUL = "depth doubtful"
FULL = 16
_FINE, _COARSE = (8, 10, 12, 14, FULL), (8, 12, FULL)
_ENOUGH = 8
_RARE = 0.1
_DARK_BITS = 4  # a sixteenth of the range
_CHUNKS_AT = 8


def exports_of(peaks: Sequence[int]) -> tuple[int, ...]:
    """Give the depths of the exports in a folder, the deepest first, from the brightest level of each film."""
    depths = _FINE if len(peaks) >= _ENOUGH else _COARSE
    found: list[int] = []
    group = list(peaks)
    while group and len(group) >= _RARE * len(peaks):
        fits = (depth for depth in depths if sum(_holds(depth, peak) for peak in group) >= (1 - _RARE) * len(group))
        found.append(next(fits))
        if found[-1] == depths[0]:
            break
        group = [peak for peak in group if _holds(found[-1] - _DARK_BITS, peak)]
    return tuple(found)


def exports_note(exports: Sequence[int]) -> tuple[str, ...]:
    """Say in words which exports of fewer than 16 bits there are; nothing where there is none."""
    depths = " and ".join(str(depth) for depth in exports)
    return (f"16-bit PNG films are read as films of {depths} bits",) if set(exports) - {FULL} else ()


def depth_of(peak: int, exports: Sequence[int]) -> tuple[int, bool]:
    """Give the depth of one film, and whether that is doubtful.

    Args:
        peak: Its brightest stored level.
        exports: Of its folder, as of `exports_of`; none where no folder is known.
    """
    known = exports or exports_of([peak])
    fitting = [depth for depth in known if _holds(depth, peak)]
    depth = min(fitting) if fitting else next(each for each in _COARSE if _holds(each, peak))
    alone = not exports and depth < FULL
    return depth, alone or len(known) > 1 or not fitting or _holds(depth - _DARK_BITS, peak)


def told_depth(content: bytes) -> int | None:
    """Read the significant bits from the `sBIT` chunk of a grey PNG; None where there is none."""
    place = _CHUNKS_AT
    while place + 9 <= len(content):
        length, kind = int.from_bytes(content[place : place + 4]), content[place + 4 : place + 8]
        if kind == b"sBIT" and 0 < content[place + 8] <= FULL:
            return content[place + 8]
        if kind in (b"sBIT", b"IDAT"):
            return None
        place += 12 + length
    return None


def _holds(depth: int, peak: int) -> bool:
    return peak < 1 << depth
