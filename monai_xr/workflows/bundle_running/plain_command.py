"""Gives `python -m monai.bundle` the exit codes, one-line failures and typed values of `monai-xr`."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from monai_xr.exits import guard_plain_command, is_plain_command
from monai_xr.process import settle
from monai_xr.settings import NAME_KNOBS, PATH_KNOBS, parse_typed
from monai_xr.workflows.bundle_running.kept_config import as_literal, parser_at_work


def prepare_plain_command() -> None:
    """Give the plain MONAI command what `monai-xr` has: exit codes, one line a failure, and text that stays text.

    First of the `initialize` steps of each config; started in any other way, nothing happens. Text in quotes of its
    own is what the command's own reader (`fire`) made of it.
    """
    guard_plain_command()
    parser = parser_at_work()
    if parser is None or not is_plain_command():
        return
    settle()
    typed = {knob: text for knob, text in typed_knobs(sys.argv).items() if knob in parser}
    for knob, text in typed.items():
        parser[knob] = literal(parser[knob] if text[:1] in ("'", '"') else parse_typed(knob, text))
    if typed:
        parser.parse(reset=True)  # within its own evaluation: nothing but imports is evaluated before `initialize`


def typed_knobs(arguments: Sequence[str]) -> Mapping[str, str]:
    """Read the knobs that are paths or names from `--knob value` and `--knob=value`."""
    found = {}
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, equals, value = argument.removeprefix("--").partition("=")
        if argument.startswith("--") and name.replace("-", "_") in PATH_KNOBS | NAME_KNOBS:
            found[name.replace("-", "_")] = value if equals else following
    return found


def literal(value: Any) -> Any:
    """Write a path or name, or a list of names, such that MONAI takes it as it is."""
    if isinstance(value, list | tuple):
        return [literal(each) for each in value]
    return as_literal(value) if isinstance(value, str) else value
