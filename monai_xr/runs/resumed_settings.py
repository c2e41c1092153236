"""Refuses to resume a training with other settings, and names the difference: `refuse_other_settings`."""

import json
from collections.abc import Mapping
from typing import Any

from monai_xr.errors import ConfigurationError

# Knobs of where and how a training runs: they change nothing of what is trained.
_OF_THE_RUN = frozenset(
    (
        "bundle_root",
        "output_dir",
        "cache_dir",
        "device",
        "workers",
        "resume",
        "allow_changed_data",
        "track",
        "register_as",
        "checkpoint_every",
        "checkpoint_every_iterations",
        "keep_checkpoints",
        "grid_every",
        "measure_every",
        "weights_sha256",
    )
)
# Settings that are recorded and may be others on resume.
FREE_KNOBS = frozenset(("max_epochs", "dataset_dir", "precision", "early_stop", "patience"))
NOT_SET = "not set"
_MOST = 60  # characters of a value in a message


def settings_of(knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Give the knobs that tell what is trained: all but those of the run itself, so that none is forgotten."""
    return {name: value for name, value in knobs.items() if name not in _OF_THE_RUN}


def compared(settings: Mapping[str, Any]) -> dict[str, str]:
    """Give as text the settings that a resumed training must share."""
    return {name: as_text(value) for name, value in settings_of(settings).items() if name not in FREE_KNOBS}


def as_text(value: Any) -> str:
    """A knob as text, the same for what is typed and what is written: lists and tuples."""
    return json.dumps(value, default=str, sort_keys=True).strip('"')


def refuse_other_settings(before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Compare the settings that both know.

    Raises:
        ConfigurationError: Naming the first that differs, with both values.
    """
    for name, value in now.items():
        if before.get(name, value).lower() != value.lower():  # true and True
            was, is_now = _where_they_differ(before[name], value)
            raise ConfigurationError(
                f"{name} was {was} when the training stopped and is {is_now} now",
                "resume",
                "use the same settings, overlays and images, as monai-xr train RUN --resume does, or start anew in "
                "another --output_dir",
            )


def _where_they_differ(before: str, now: str) -> list[str]:
    """Two texts; of long ones the parts where they begin to differ."""
    if max(len(before), len(now)) <= _MOST:
        return [before, now]
    pairs = enumerate(zip(before.lower(), now.lower(), strict=False))
    same = next((i for i, (a, b) in pairs if a != b), min(len(before), len(now)))
    begin = max(0, same - _MOST // 3)
    return [_cut(text, begin) for text in (before, now)]


def _cut(text: str, begin: int) -> str:
    part = " ".join(text[begin : begin + _MOST].split())
    return f"{'... ' * (begin > 0)}{part}{' ...' * (begin + _MOST < len(text))}"
