"""What an app says of a study: films with their findings, and what it did not process and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from monai_xr.dicom.identity import sop_class, sop_instance
from monai_xr.dicom.image import Array, Pixels, XrayImage
from monai_xr.dicom.values import text, uid

Answer = Literal["yes", "no", "unsure"]
RESEARCH_ONLY = "RESEARCH USE ONLY"
PRESENCE: Mapping[Answer, Code] = {  # how reports write answers
    "yes": Code("52101004", "SCT", "Present"),
    "no": Code("2667000", "SCT", "Absent"),
    "unsure": Code("82334004", "SCT", "Indeterminate"),
}


@dataclass(frozen=True, eq=False)
class Instance:
    """One file of a study, told by its header alone."""

    path: Path
    header: Dataset

    @property
    def study(self) -> str:
        """Study Instance UID, "" where it has no valid one."""
        return uid(self.header, "StudyInstanceUID")

    @property
    def sop_uid(self) -> str:
        """SOP Instance UID, "" where it has no valid one."""
        return sop_instance(self.header)

    @property
    def is_identified(self) -> bool:
        """Whether results can refer to it (PS3.3 section C.17.2)."""
        return bool(self.study and uid(self.header, "SeriesInstanceUID") and self.sop_uid and sop_class(self.header))

    @property
    def is_image(self) -> bool:
        """Whether it holds pixels: reports and presentation states do not."""
        return bool(text(self.header, "Rows"))


@dataclass(frozen=True)
class NotProcessed:
    """A file that no finding is told of.

    Args:
        file: Its name, without folders.
        reason: In words that name nobody.
        instance: Its header, where that can be read.
        failed: Whether it is a film that should have been judged, such as one with damaged pixels.
    """

    file: str
    reason: str
    instance: Instance | None = None
    failed: bool = False


@dataclass(frozen=True)
class Finding:
    """What a model says of one class.

    Args:
        probability: Calibrated.
        decision: By the threshold; "unsure" within the band around it in which the model abstains.
        is_positive: Whether the class is a finding, and not such as NORMAL.
    """

    name: str
    probability: float
    threshold: float
    decision: Answer
    is_positive: bool = True


@dataclass(frozen=True, eq=False, kw_only=True)
class Told:
    """What a network tells of one input.

    Args:
        look: (S, S) in [0, 1], where a classifier looked, or what an anomaly is; None for networks that do not tell.
        embedding: (d,), what the last layer of the network saw.
        score: Of an anomaly, None where findings are told.
    """

    findings: tuple[Finding, ...] = ()
    look: Pixels | None
    embedding: Array
    score: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class JudgedFilm(Told):
    """One film with what was found.

    Args:
        xray: As it was read, upright.
        network_input: (S, S) in [-1, 1], as the network saw it.
    """

    instance: Instance
    xray: XrayImage
    network_input: Pixels


@dataclass(frozen=True, eq=False)
class StudyResult:
    """What is told of one study.

    Args:
        study: Its UID; "" for files of which no header tells one, which get no DICOM result.
        films: The processed ones.
        not_processed: The others.
        earlier: Reports of this app on the same study, from before.
        written: Files that tell it.
    """

    study: str
    films: tuple[JudgedFilm, ...]
    not_processed: tuple[NotProcessed, ...]
    earlier: tuple[Instance, ...] = ()
    written: Sequence[Path] = field(default=())

    @property
    def instances(self) -> tuple[Instance, ...]:
        """All that results can refer to, the films first."""
        left_out = (each.instance for each in self.not_processed)
        return (*(film.instance for film in self.films), *(each for each in left_out if each and each.is_identified))

    @property
    def has_findings(self) -> bool:
        """Whether any finding is not said no to: what is unsure must not pass for a negative."""
        told = (finding for film in self.films for finding in film.findings)
        return any(finding.decision != "no" and finding.is_positive for finding in told)
