"""Values as they come from a command line: text that means a flag, a list or nothing."""

import ast
import csv
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from monai_xr.errors import ConfigurationError

# Knobs that name a file, a folder, a split or a class: text as typed, never a number or an expression.
PATH_KNOBS = frozenset(
    (
        "dataset_dir",
        "output_dir",
        "cache_dir",
        "synthetic_dir",
        "report_dir",
        "findings_dir",
        "features_dir",
        "checkpoint",
    )
)
NAME_KNOBS = frozenset(
    ("classes", "split", "val_split", "held_out_split", "label", "register_as", "weights", "group_by")
)
FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def parse_flag(value: Any, name: str) -> bool:
    """Read true/false, yes/no or 1/0 in any case; `name` is the knob named in the error."""
    if isinstance(value, bool):
        return value
    flag = FLAGS.get(str(value).strip().lower())
    if flag is None:
        raise ConfigurationError(f"{value!r} is neither true nor false", name, "use true or false")
    return flag


def parse_typed(knob: str, text: str) -> Any:
    """Read what was typed for a knob: text for paths and names, else a Python literal where it is one.

    Names may be none, or a list written as in Python.
    """
    name = knob.replace("-", "_")
    if name in PATH_KNOBS:
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    if name not in NAME_KNOBS:
        return value
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return value
    return None if text.lower() in ("none", "null") else text


def parse_names(value: Any, known: Iterable[str] = ()) -> list[str] | None:
    """Read a list of names, or one text with commas between them; None, "" and "none" mean no choice was made.

    A name in double quotes may have commas.

    Args:
        value: As it was given.
        known: Names that there are; where one of them has commas itself, the longest that fits is taken.
    """
    if value is None or str(value).strip().lower() in ("", "none", "null"):
        return None
    if isinstance(value, str) and '"' in value:
        return [name.strip() for name in next(csv.reader([value], skipinitialspace=True)) if name.strip()]
    if isinstance(value, str):
        return _names_in([part.strip() for part in value.split(",")], {_bare(name): name for name in known})
    if isinstance(value, Sequence):
        return [str(name).strip() for name in value]
    return [str(value)]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Ask whether the name most like this one was meant, in any case, with a blank behind; "" where none is like it."""
    written = {each.lower(): each for each in known}
    near = get_close_matches(name.lower(), written, n=1, cutoff=0.5)
    return f"did you mean {written[near[0]]!r}? " if near else ""


def joined_names(names: Iterable[str]) -> str:
    """Write names as one text that `parse_names` reads."""
    return ",".join(f'"{name}"' if "," in name else name for name in names)


def _names_in(parts: list[str], known: Mapping[str, str]) -> list[str]:
    names = []
    while parts:
        joined = (",".join(parts[:count]) for count in range(len(parts), 1, -1))
        name = next((known[text] for text in joined if text in known), parts[0])
        names.append(name)
        parts = parts[name.count(",") + 1 :]
    return [name for name in names if name]


def _bare(name: str) -> str:
    return ",".join(part.strip() for part in name.split(","))


def parse_count(value: Any, name: str, *, least: int = 1) -> int:
    """Read a whole number of at least `least`; `name` is the knob named in the error."""
    try:
        count = int(value)
    except (TypeError, ValueError):
        count = least - 1
    if count < least or float(value) != count:
        raise ConfigurationError(f"{value!r} is not a whole number of at least {least}", name)
    return count


def parse_number(value: Any, name: str, *, below: float = float("inf")) -> float:
    """Read a number of at least 0 and less than `below`; `name` is the knob named in the error."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < below:
        allowed = "0 or more" if below == float("inf") else f"at least 0, below {below:g}"
        raise ConfigurationError(f"{value!r} is out of range", name, allowed)
    return number
