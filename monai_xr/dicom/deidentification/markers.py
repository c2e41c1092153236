"""A text that was read in a film in; whether it is a marker of radiographers and nothing else out: `is_marker`.

Sides, projections, positions and machines at the bedside name no patient. The words are those of English, Spanish,
Portuguese, French, German and Italian departments; what is also a surname of many ("Assis", "Li") is not among them. A
time of exposure may name a patient, beside a worklist: it passes only by choice. A date never passes.
"""

import re
from unicodedata import combining, normalize

# Too short to be told from a part of a surname, unless they stand alone.
_SHORT = """
    L R AP PA LAT DX SX DER IZQ DIR ESQ RE
"""
_LONG = """
    PORTABLE MOBILE SUPINE PRONE ERECT UPRIGHT STANDING SITTING SEMI DECUBITUS LATERAL LEFT RIGHT
    DCHA DERECHA DERECHO IZDA IZQDA IZQUIERDA IZQUIERDO PORTATIL SENTADO SENTADA ACOSTADO ACOSTADA DECUBITO SUPINO
    BIPEDESTACION SEDESTACION CLINO
    DIREITA DIREITO ESQUERDA ESQUERDO DEITADO DEITADA
    DROITE DROIT GAUCHE DEBOUT ASSISE COUCHE
    RECHTS LINKS LIEGEND STEHEND SITZEND
    DESTRA SINISTRA SEDUTO SEDUTA
"""
_SPACED = re.compile(r"\b([AP])[-. ](?!\1)([AP])\b")  # A-P
_MOST_WORDS = 4
_TIME = re.compile(r"(?:[01]?\d|2[0-3])[:.h][0-5]\d(?:[:.][0-5]\d)?\s*(?:[AP]M)?", re.I)
# A reader may lose the space: APSUPINE. Only beside a long word, for short ones alone make surnames.
_JOINED = re.compile(rf"(?:AP|PA)?(?:{'|'.join(_LONG.split())}){{1,3}}(?:AP|PA)?")
# What letters of 6 to 9 pixels are taken for: DCHA was read as OCHA, DCEA, OCEA and DOHA.
_ALIKE = str.maketrans("0QDCGEBI1", "OOOOOHHLL")
_BLURRED = re.compile(rf"(?:{'|'.join(word.translate(_ALIKE) for word in _LONG.split())})")


def is_marker(text: str, *, times: bool = False, blurred: bool = False) -> bool:
    """Tell whether a text is made of markers alone.

    Args:
        text: As read.
        times: Times of exposure count as markers.
        blurred: Its letters are so low that readers take some for others.

    >>> is_marker("AP SUPINE"), is_marker("DOE JANE"), is_marker("L 12:30", times=True)
    (True, False, True)
    """
    if times:
        text = _TIME.sub(" L ", text)
    bare = "".join(letter for letter in normalize("NFKD", text) if not combining(letter)).upper()
    words = re.findall(r"[^\W_]+", _SPACED.sub(r"\1\2", bare))
    if not words or len(words) > _MOST_WORDS:
        return False
    return all(_is_one(word, blurred=blurred) for word in words)


def _is_one(word: str, *, blurred: bool) -> bool:
    if word in _SHORT.split() or _JOINED.fullmatch(word):
        return True
    return blurred and _BLURRED.fullmatch(word.translate(_ALIKE)) is not None
