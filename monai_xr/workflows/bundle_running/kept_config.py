"""Writes the config that MONAI evaluates into the run's folder, such that the run can be repeated."""

import ast
import inspect
import json
from collections.abc import Mapping
from typing import Any

import ignite.distributed as idist
import yaml
from monai.bundle import ConfigParser
from monai.bundle.utils import DEFAULT_MLFLOW_SETTINGS

from monai_xr.data.files.output import write_text
from monai_xr.handlers.run_record import without_folders
from monai_xr.runs import RunFolder

_NETWORKS = ("generator", "discriminator")
_NO_KNOBS = {
    *("_meta_", "imports", "knobs", "network_def", "train", "validate", "initialize", "finalize", "run", "training"),
    *DEFAULT_MLFLOW_SETTINGS["configs"],
} - {"output_dir"}


def parser_at_work() -> ConfigParser | None:
    """Find the parser that evaluates the expression this is called from; None where it is called from plain Python.

    MONAI does not hand expressions their parser, but it is among their callers, whatever started the workflow: the
    plain command, `ConfigWorkflow` or `monai-xr`.
    """
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, ConfigParser):
            return caller
        frame = frame.f_back
    return None


def keep_config(parser: ConfigParser) -> None:
    """Write the merged config as `config.yaml`, and the bundle's `metadata.json`, to the folder of a run that starts.

    Folders above the data are left out of it: they may be named after people. Of several processes the first writes.
    """
    if idist.get_rank() > 0:
        return
    run = RunFolder(str(parser.get_parsed_content("output_dir")))
    content = {name: _plain(value) for name, value in parser.get().items() if name != parser.meta_key}
    content |= {"resume": False} if "resume" in content else {}  # each command says whether it goes on
    write_text(run.config, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    metadata = run.path / "metadata.json"
    if not metadata.exists():  # a classifier writes its own
        write_text(metadata, json.dumps(parser.get(parser.meta_key, {}), indent=4) + "\n")


def knobs_as_set() -> dict[str, Any]:
    """Give the knobs of the config at work, resolved: everything at its top level that is plain data.

    Components, sections, steps of a run and what MONAI's `--tracking` adds are none.
    """
    parser = parser_at_work()
    found: dict[str, Any] = {}
    for name, raw in parser.get().items() if parser else ():
        if name not in _NO_KNOBS and not _is_component(raw) and not _is_steps(raw):
            value = parser.get_parsed_content(name)  # type: ignore[union-attr]
            found |= {name: value} if _is_plain(value) else {}
    return found


def _is_component(raw: Any) -> bool:
    return isinstance(raw, Mapping) and "_target_" in raw


def _is_steps(raw: Any) -> bool:
    """Whether a list holds what does something when it is resolved."""
    return isinstance(raw, list) and any(
        _is_component(each) or (str(each).startswith("$") and _written(each) is None) for each in raw
    )


def networks_as_resolved(parser: ConfigParser) -> dict[str, dict[str, Any]]:
    """Give target and plain arguments of the networks that a parser has made, by name."""
    found = {}
    for name in _NETWORKS:
        item = parser.ref_resolver.get_item(name)
        config = item.get_config() if item is not None else None
        if isinstance(config, Mapping) and "_target_" in config:
            found[name] = {key: value for key, value in config.items() if _is_plain(value)}
    return found


def as_literal(text: str) -> str:
    """Write text such that MONAI takes it as it is, not for a reference, an expression, a macro or an id."""
    if not text.startswith(("@", "$", "%")) and "#" not in text:
        return text
    quoted = repr(text)
    for sign in "@%#$":
        quoted = quoted.replace(sign, f"\\x{ord(sign):02x}")
    return f"${quoted}"


def _plain(value: Any) -> Any:
    """What YAML can hold: of an object that was set in Python, its class; of a path, its last name."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, str) and value.startswith("$"):
        text = _written(value)
        return value if text is None else as_literal(without_folders(text))
    return without_folders(value) if _is_plain(value) else f"<{type(value).__name__}>"


def _written(expression: str) -> str | None:
    """Give the text that an expression of `as_literal` stands for; None for any other expression."""
    try:
        return str(ast.literal_eval(expression[1:]))
    except (ValueError, SyntaxError):
        return None


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and _is_plain(each) for name, each in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(each) for each in value)
    return value is None or isinstance(value, bool | int | float | str)
