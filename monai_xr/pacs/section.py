"""What every part of `site.yaml` is: typed, frozen, and refusing a key that does not exist, with the nearest one."""

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

Bad = PydanticCustomError


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
    """A mapping of `site.yaml`; its paths count from the folder of the file."""

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
