"""What every part of `site.yaml` is: typed, frozen, and refusing keys that it does not know."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

# Of a rule, a data set, a peer: goes into file names and metrics.
PlainName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]


class Section(BaseModel):
    """A mapping of `site.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
