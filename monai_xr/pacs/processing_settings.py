"""What `site.yaml` says of the way from a received study to the data set: `Queue`, `Deidentification` and others."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from monai_xr.pacs.section import Bad, Section

PLACEHOLDERS = ("study", "version", "predecessor", "objects", "images", "output")
Seconds = Annotated[float, Field(ge=0)]
PositiveSeconds = Annotated[float, Field(gt=0)]


class Queue(Section):
    """When a study is taken, and what is tried again.

    Args:
        ask: Peer that is asked how many objects a study has.
        quiet_s: Since its last object, before a study counts as complete or its peer is asked for the count.
        most_wait_s: Longest wait for a count that is not reached; then the study goes its way as it is, and says so.
        workers: Studies worked on at the same time.
        tries: Before a study is quarantined.
        backoff_s: Before the second try; doubled with each further one, to one hour at most.
        study_timeout_s: After which the worker of a study is killed.
    """

    ask: str | None = None
    quiet_s: Seconds = 60
    most_wait_s: Seconds = 3600
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    tries: Annotated[int, Field(ge=1, le=100)] = 5
    backoff_s: Seconds = 30
    study_timeout_s: PositiveSeconds = 900


class Deidentification(Section):
    """What `monai-xr deidentify` is told.

    Args:
        folder: Of the de-identified films of each data set, and of what waits for `monai-xr review`.
        key: Secret file of the site, for its owner alone; made if absent.
        shift_dates: Keep dates, moved by secret days for each patient.
        keep_characteristics: Keep sex, age, size, weight.
        accept_phantoms: Let phantoms in beside films of patients, for demonstrations and tests.
        accept_non_chest: Let films of other body parts in.
        allow_times: Let times of exposure be in pixels.
    """

    folder: Path
    key: Path
    shift_dates: bool = False
    keep_characteristics: bool = False
    accept_phantoms: bool = False
    accept_non_chest: bool = False
    allow_times: bool = False

    @property
    def admit(self) -> tuple[str, ...]:
        """Origins that are let in."""
        return ("patient", "phantom") if self.accept_phantoms else ("patient",)


class Dataset(Section):
    """What `monai-xr prepare` is told.

    Args:
        folder: Of the data sets: `main`, and one for each name that a rule routes to.
        size: Pixels on a side.
        fit: What happens to the aspect ratio.
        build_every_s: The data sets are brought up to date so often; 0 after each round of studies.
        build_timeout_s: After which a build is killed; the next one goes on where it was.
    """

    folder: Path
    size: Annotated[int, Field(ge=1, le=4096)] = 256
    fit: Literal["squash", "pad", "crop"] = "squash"
    build_every_s: Seconds = 900
    build_timeout_s: PositiveSeconds = 6 * 3600


class HandOver(Section):
    """A command that is started for each study that is in the data set.

    Args:
        folder: With a folder for each version of a study, for its owner alone; what the command puts into its `output`
            and says into its `command.log` stays there.
        command: Program and arguments, no shell. In braces: study (its new UID), version, predecessor (0 for none), and
            the folders objects (the received files), images (the de-identified ones, by data set) and output (empty).
        timeout_s: After which it is killed with all that it started.
    """

    folder: Path
    command: Annotated[tuple[str, ...], Field(min_length=1)]
    timeout_s: PositiveSeconds = 600

    @field_validator("command")
    @classmethod
    def _known_placeholders(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        for part in command:
            try:
                part.format(**dict.fromkeys(PLACEHOLDERS, ""))
            except (KeyError, IndexError, ValueError, AttributeError):
                raise Bad("braces", f"only these stand in braces: {', '.join(PLACEHOLDERS)}") from None
        return command
