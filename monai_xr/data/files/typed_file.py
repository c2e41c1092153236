"""Reads a YAML file into a checked, frozen model; refuses an unknown key and names the nearest: `parse_model`."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from monai_xr.errors import ConfigurationError

Bad = PydanticCustomError
MAX_BYTES = 1 << 20


def matching(pattern: str, otherwise: str) -> AfterValidator:
    """Want a text that matches a pattern as a whole; who reads the refusal is told in words."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise Bad("pattern", otherwise)
        return text

    return AfterValidator(check)


# Of a rule or a data set: goes into the names of folders and into metrics.
PlainName = Annotated[
    str, matching("[A-Za-z0-9][A-Za-z0-9_-]{0,31}", "a name is 1 to 32 letters, digits, hyphens and underscores")
]


class Section(BaseModel):
    """A mapping of the file; its paths count from the folder of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys_only(cls, values: Any) -> Any:
        if isinstance(values, cls):
            return values
        if not isinstance(values, dict):
            raise Bad("section", "is a section with keys of its own")
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key in values:
            if key not in known:
                near = get_close_matches(str(key), known, 1, 0.5)
                hint = f"did you mean {near[0]}?" if near else f"keys: {', '.join(known)}"
                raise Bad("unknown_key", "there is no key {key} here; {hint}", {"key": repr(key), "hint": hint})
        return values

    @field_validator("*")
    @classmethod
    def _from_the_folder_of_the_file(cls, value: Any, info: ValidationInfo) -> Any:
        return (info.context or {}).get("folder", Path()) / value.expanduser() if isinstance(value, Path) else value


class _Loader(yaml.SafeLoader):
    """Plain values only: an alias could unfold a thousandfold, a key given twice hides a decision."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases are not read", problem_mark=self.get_mark())
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        mapping = super().construct_mapping(node, deep)
        if isinstance(node, yaml.MappingNode) and len(mapping) < len(node.value):
            raise yaml.MarkedYAMLError(problem="a key is given twice", problem_mark=node.start_mark)
        return mapping


Model = TypeVar("Model", bound=Section)


def parse_model(kind: type[Model], data: bytes, path: Path, way_out: str) -> Model:
    """Check what stands, or is to stand, in the file at a path.

    Args:
        kind: What the file as a whole is.
        data: Its content.
        path: Its paths count from the folder of this.
        way_out: What the user can look at.

    Raises:
        ConfigurationError: It is no YAML, or a key or a value in it cannot be.
    """
    if len(data) > MAX_BYTES:
        raise ConfigurationError(f"more than {MAX_BYTES} bytes", path, "a page is enough")
    content = None
    try:
        content = yaml.load(data, _Loader)  # noqa: S506
        return kind.model_validate(content, context={"folder": path.absolute().parent})
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "no YAML"
        where = f"{path.name} line {mark.line + 1}" if mark else path.name
        raise ConfigurationError(str(problem), where, way_out) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(_parts_of(content, first)) or "the whole file"
        more = f"and {error.error_count() - 1} more" if error.error_count() > 1 else way_out
        raise ConfigurationError(first["msg"], f"{path.name} {where}", more) from None


def _parts_of(content: Any, error: Any) -> Iterator[str]:
    """Give the keys that lead to an error, without the kinds of a value that were tried there."""
    for part in error["loc"]:
        try:
            content = content[part]
        except (LookupError, TypeError):
            if error["type"] != "missing":
                continue
        yield str(part)
