"""Tells of classes whose names differ by their case or by one letter, as typing errors do: `alike_notes`."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import combinations

_SHORTEST = 5  # of which a letter more may well be another word


def alike_notes(classes: Sequence[str]) -> tuple[str, ...]:
    """Give a note for each two classes that may be meant for one; digits tell grades apart, and are no such error.

    >>> alike_notes(["NORMAL", "PNEUMONA", "PNEUMONIA", "grade 1", "grade 2"])
    ('classes PNEUMONA and PNEUMONIA differ by little: is one of them meant?',)
    """
    alike = (pair for pair in combinations(classes, 2) if _are_alike(*(name.casefold() for name in pair)))
    return tuple(f"classes {one} and {other} differ by little: is one of them meant?" for one, other in alike)


def _are_alike(one: str, other: str) -> bool:
    if one == other:
        return True
    if min(len(one), len(other)) < _SHORTEST:
        return False
    steps = SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    changes = [step for step in steps if step[0] != "equal"]
    changed = "".join(one[a:b] + other[c:d] for _, a, b, c, d in changes)
    longest = max((max(b - a, d - c) for _, a, b, c, d in changes), default=0)
    return len(changes) == 1 and longest == 1 and not any(map(str.isdigit, changed))
