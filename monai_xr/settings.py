"""Values as they come from a command line: text that means a flag, a list or nothing."""

from collections.abc import Sequence
from typing import Any

from monai_xr.errors import ConfigurationError

_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def parse_flag(value: Any, name: str) -> bool:
    """Read true/false, yes/no or 1/0 in any case; `name` is the knob named in the error."""
    if isinstance(value, bool):
        return value
    flag = _FLAGS.get(str(value).strip().lower())
    if flag is None:
        raise ConfigurationError(f"{value!r} is neither true nor false", name, "use true or false")
    return flag


def parse_names(value: Any) -> list[str] | None:
    """Read a list of names, or one text with commas between them; None, "" and "none" mean no choice was made."""
    if value is None or str(value).strip().lower() in ("", "none", "null"):
        return None
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    if isinstance(value, Sequence):
        return [str(name) for name in value]
    return [str(value)]


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
