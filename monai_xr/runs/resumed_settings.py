"""Settings of a training then and now in; a refusal that names the difference out."""

import json
from collections.abc import Mapping
from typing import Any

from monai_xr.errors import ConfigurationError

_MOST = 60  # characters of a value in a message


def as_text(value: Any) -> str:
    """A knob such that typed and written values compare equal: true and True, lists and tuples."""
    return json.dumps(value, default=str, sort_keys=True).lower().strip('"')


def refuse_other_settings(before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Compare the settings that both know.

    Raises:
        ConfigurationError: Naming the first that differs, with both values.
    """
    for name, value in now.items():
        if before.get(name, value) != value:
            was, is_now = _where_they_differ(before[name], value)
            raise ConfigurationError(
                f"{name} was {was} when the training stopped and is {is_now} now",
                "resume",
                "use the same settings and images, or start anew with --resume false",
            )


def _where_they_differ(before: str, now: str) -> list[str]:
    """Two texts; of long ones the parts where they begin to differ."""
    if max(len(before), len(now)) <= _MOST:
        return [before, now]
    same = next((i for i, (a, b) in enumerate(zip(before, now, strict=False)) if a != b), min(len(before), len(now)))
    begin = max(0, same - _MOST // 3)
    return [" ".join(text[begin : begin + _MOST].split()) for text in (before, now)]
