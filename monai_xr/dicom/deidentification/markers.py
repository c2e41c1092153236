"""A text that was read in a film in; whether it is a marker of radiographers and nothing else out: `is_marker`.

Sides, projections and positions name no patient. A time of exposure may, beside a worklist: it passes only by choice.
"""

import re

_SHORT = ("L", "R", "AP", "PA", "LAT")
_LONG = (
    "PORTABLE",
    "MOBILE",
    "SUPINE",
    "ERECT",
    "UPRIGHT",
    "SITTING",
    "SEMI",
    "LATERAL",
    "LEFT",
    "RIGHT",
    "DCHA",
    "IZDA",
)
_SPACED = re.compile(r"\b([AP])[-. ](?!\1)([AP])\b")  # A-P
_MOST_WORDS = 4
_TIME = re.compile(r"(?:[01]?\d|2[0-3])[:.h][0-5]\d(?:[:.][0-5]\d)?\s*(?:[AP]M)?", re.I)
# A reader may lose the space: APSUPINE. Only beside a long word, for short ones alone make surnames.
_JOINED = re.compile(rf"(?:AP|PA)?(?:{'|'.join(_LONG)}){{1,3}}(?:AP|PA)?")


def is_marker(text: str, *, times: bool = False) -> bool:
    """Tell whether a text is made of markers alone.

    Args:
        text: As read.
        times: Times of exposure count as markers.

    >>> is_marker("AP SUPINE"), is_marker("DOE JANE"), is_marker("L 12:30", times=True)
    (True, False, True)
    """
    if times:
        text = _TIME.sub(" L ", text)
    words = re.findall(r"[^\W_]+", _SPACED.sub(r"\1\2", text.upper()))
    if not words or len(words) > _MOST_WORDS:
        return False
    return all(word in _SHORT or _JOINED.fullmatch(word) for word in words)
