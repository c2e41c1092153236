"""Reads the settings of a bundle with defaults and comments, and checks what was typed: `SettingsList`.

Reads YAML alone, so that a typo, a missing folder or a wrong value is told before anything heavy is loaded.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_xr.data.sources.finding import check_folder
from monai_xr.data.sources.shown_paths import LEFT_OUT
from monai_xr.errors import ConfigurationError
from monai_xr.runs import RunFolder
from monai_xr.runs.resumed_settings import NOT_SET, compared, refuse_other_settings
from monai_xr.settings import PATH_KNOBS, parse_count, parse_flag, parse_typed
from monai_xr.workflows.bundle_running.bundle_folders import nearest
from monai_xr.workflows.bundle_running.overlays import LEVELS, check_overlays, read_config

_LINE = re.compile(r"^(\w+):.*?(?:\s#\s*(?P<comment>.*))?$")
_WIRING = frozenset(
    ("imports", "bundle", "bundle_root", "initialize", "finalize", "run", "training", "inference", "knobs")
)
_COUNTS = ("image_size", "batch_size", "max_epochs", "decay_images", "r1_every")
_GENERATED = (32, 64, 128, 256, 512)  # image sizes that networks of generators double up to
_MOST = 22  # characters of a default
_USUAL_OUTPUT = "$'runs/' + @bundle"
_EXPRESSION = ("$", "@", "%")


@dataclass(frozen=True)
class Setting:
    """A line at the top of a config.

    Attributes:
        default: As YAML has it; an expression as text.
        comment: What stands behind it.
    """

    name: str
    default: Any
    comment: str

    @property
    def is_flag(self) -> bool:
        """Whether it is true or false."""
        return isinstance(self.default, bool)

    @property
    def shown(self) -> str:
        """The default as it would be typed; "" for an expression."""
        if _is_expression(self.default):
            return ""
        if self.default is None:
            return "none"
        return str(self.default).lower() if self.is_flag else str(self.default)

    @property
    def line(self) -> tuple[str, str]:
        """The setting as it would be typed with its default, and its comment, which begins with a long default."""
        if len(self.shown) <= _MOST:
            return f"--{self.name} {self.shown}".strip(), self.comment
        return f"--{self.name}", ", ".join(filter(None, (self.shown, self.comment)))


class SettingsList:
    """The settings that config files name, later files over earlier ones.

    Args:
        files: YAML or JSON.
        commented: Files whose comments count; these by default. A config that a run keeps has none itself.
    """

    def __init__(self, files: Sequence[Path], commented: Sequence[Path] = ()) -> None:
        comments: dict[str, str] = {}
        for file in commented or files:
            comments |= {name: text for name, text in _comments(file).items() if text}
        self.files = files
        self.first, *self.overlays = [read_config(file) for file in files]
        self.content: dict[str, Any] = {}
        for written in (self.first, *self.overlays):
            self.content |= _whole(written)
        self.settings = {
            name: Setting(name, value, comments.get(name, ""))
            for name, value in self.content.items()
            if _is_setting(name, value, comments)
        }

    def read(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Read `--name value`, `--name=value` and, of what is true or false, `--name` and `--no-name`.

        - and _ are the same in a name.

        Raises:
            ConfigurationError: Something else, or a name without a value.
        """
        typed: dict[str, Any] = {}
        rest = list(arguments)
        while rest:
            argument = rest.pop(0)
            if not argument.startswith("--"):
                raise ConfigurationError("not a setting", argument, "write settings as --name value")
            name, equals, value = argument[2:].partition("=")
            name = name.replace("-", "_")
            if not equals:
                name, value = self._flag(name, rest) or (name, rest.pop(0) if rest else "")
            if not value:
                raise ConfigurationError("setting without a value", name, "write settings as --name value")
            typed[name] = parse_typed(name, value)
        return typed

    def check(self, typed: Mapping[str, Any]) -> None:
        """Refuse unknown names, values of another kind, a data folder that will not do, and a run that cannot go on.

        Raises:
            ConfigurationError: Naming the nearest name, or what is allowed; as `refuse_other_settings`.
            InputDataError: As `check_folder`.
        """
        check_overlays(self.files)
        self.check_paths(typed)
        self._check_kinds_of_overlays()
        for name, value in typed.items():
            top = LEVELS.split(name)[0]
            if top not in self.content:
                raise ConfigurationError("no such setting", name, nearest(top, self.content))
            if name in self.settings:
                _check_kind(self.settings[name], value)
            if name == "image_size" and "generator" in self.content and value not in _GENERATED:
                raise ConfigurationError(f"image_size {value} is not supported", name, f"one of {list(_GENERATED)}")
        folder = typed.get("dataset_dir", self.content.get("dataset_dir"))
        if "dataset_dir" not in typed and isinstance(folder, str) and not _is_expression(folder):
            _check_named(folder)
        if isinstance(folder, str) and folder and (not _is_expression(folder) or "dataset_dir" in typed):
            self._check_films(folder, typed)
        self._check_resumed(typed)

    def _check_resumed(self, typed: Mapping[str, Any]) -> None:
        """Compare plain values with those of the run that is to go on; the training compares all when it starts.

        A setting of the bundle that the run lacks is newer than the run; one that the bundle lacks is of an overlay.
        """
        now = {**self.content, **typed}
        if now.get("output_dir") == _USUAL_OUTPUT:
            now["output_dir"] = f"runs/{now.get('bundle', '')}"
        run, resume = RunFolder(str(now.get("output_dir", ""))), now.get("resume", False)
        if run.config.is_file() and run.is_begun and not _is_expression(resume) and parse_flag(resume, "resume"):
            kept = SettingsList([run.config])
            added, merged = self.content.keys() - _whole(self.first).keys(), self._merged_into()
            sides = dict.fromkeys(added, NOT_SET) | kept.content, dict.fromkeys(kept.settings, NOT_SET) | now
            names = dict.fromkeys(("bundle", *self.settings, *kept.settings))
            known = [n for n in names if n not in merged and all(_is_known(side.get(n, "$")) for side in sides)]
            refuse_other_settings(*(compared({name: side[name] for name in known}) for side in sides))

    def _merged_into(self) -> set[str]:
        """Give the settings of which overlays set a part: their value is not known before MONAI merged them."""
        written = (name for overlay in self.overlays for name in overlay)
        return {LEVELS.split(name.removeprefix("+"))[0] for name in written if name[0] == "+" or LEVELS.search(name)}

    def _check_kinds_of_overlays(self) -> None:
        for name, value in _whole(self.first).items():
            if name in self.settings and value != self.content[name]:
                _check_kind(Setting(name, value, ""), self.content[name])

    def _check_films(self, folder: str, typed: Mapping[str, Any]) -> None:
        known = {name: typed.get(name, self.content.get(name)) for name in ("classes", "split", "no_patients")}
        classes, split, alone = (None if _is_expression(value) else value for value in known.values())
        several = str(typed.get("multi_label", self.content.get("multi_label", False))).lower() != "false"
        check_folder(
            folder,
            classes=None if several else classes,  # else they are findings
            split=split,
            no_patients=parse_flag(alone or False, "no_patients"),
        )

    def check_paths(self, typed: Mapping[str, Any]) -> None:
        """Refuse a path that a kept config left out, see `without_folders`, unless it is typed.

        Raises:
            ConfigurationError: Naming the setting.
        """
        for name, value in self.content.items():
            if isinstance(value, str) and LEFT_OUT.search(value) and name not in typed:
                told = "the record of the run keeps no folders above this one"
                raise ConfigurationError(told, name, f"add --{name} PATH to the command")

    def lines(self) -> list[tuple[str, str]]:
        """Give each setting as it would be typed with its default, and its comment."""
        return [each.line for each in self.settings.values()]

    def _flag(self, name: str, rest: list[str]) -> tuple[str, str] | None:
        """Read a flag without a value; None for any other."""
        alone = not rest or rest[0].startswith("--")
        if name in self.settings:
            return (name, "true") if alone and self.settings[name].is_flag else None
        positive = self.settings.get(name.removeprefix("no_"))
        return (positive.name, "false") if positive and positive.is_flag and alone else None


def _check_named(folder: str) -> None:
    if folder and not Path(folder).exists():
        raise ConfigurationError("say where the films are", "dataset_dir", "--dataset_dir FOLDER")


def _whole(written: Mapping[str, Any]) -> dict[str, Any]:
    """Top-level names of a config with their values; of a deep name that an overlay sets, none of its own."""
    return {name.removeprefix("+"): value for name, value in written.items() if not LEVELS.search(name)}


def _comments(file: Path) -> dict[str, str]:
    found = (_LINE.match(line) for line in file.read_text(encoding="utf-8").splitlines())
    return {match[1]: match["comment"] or "" for match in found if match}


def _is_setting(name: str, value: Any, comments: Mapping[str, str]) -> bool:
    """What a person may set: plain values, paths, and expressions that a comment explains."""
    if name in _WIRING or (isinstance(value, list) and any(isinstance(each, dict) for each in value)):
        return False
    if isinstance(value, dict):
        return "_target_" not in value and name not in ("train", "validate")
    return bool(comments.get(name)) or name in PATH_KNOBS or not _is_expression(value)


def _is_expression(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(_EXPRESSION)


def _is_known(value: Any) -> bool:
    """Whether a value is what it will be: no expression within, no path that the record cut."""
    return not re.search(r"(?:^|['\"])[$@%]", str(value)) and not LEFT_OUT.search(str(value))


def _check_kind(setting: Setting, value: Any) -> None:
    if _is_expression(value):
        return
    if setting.is_flag:
        parse_flag(value, setting.name)
    elif isinstance(setting.default, int | float) and not isinstance(value, int | float):
        kind = "whole number" if isinstance(setting.default, int) else "number"
        raise ConfigurationError(f"{value!r} is not a {kind}", setting.name, f"such as {setting.default}")
    elif setting.name in _COUNTS:
        parse_count(value, setting.name)
