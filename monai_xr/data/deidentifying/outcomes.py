"""What became of each file of a de-identification, and the counts: no value of any file in it."""

from collections import Counter
from dataclasses import dataclass, field

from monai_xr.data.records import SkippedFile

READY, WAITING, DUPLICATE, REFUSED = "ready", "waiting", "duplicate", "refused"
_TOLD = {
    READY: "ready to use",
    WAITING: "wait for review",
    DUPLICATE: "copies of another file",
    REFUSED: "refused",
}
_MOST_NAMED = 20


@dataclass(frozen=True)
class SourceFile:
    """A file of the source.

    Args:
        source: Keyed hash of its path, size and time of change.
    """

    file: str
    kind: str
    source: str


@dataclass(frozen=True)
class Entry:
    """What became of one source file: a line of the manifest.

    Args:
        source: Keyed hash of its path, size and time of change.
        status: ready, waiting, duplicate or refused.
        reason: Why it waits or is refused, or what is doubtful about it, in words without a value of the file.
        patient_id: The pseudonym.
        study_instance_uid: The new one.
        sop_instance_uid: The new one.
        content: Keyed hash of the bytes of the source file.
        digest: Of the de-identified image, as `content_digest` makes it.
        id_tag: Keyed hash of the id of the patient.
        issuer_tag: Keyed hash of who issued it.
        by_issuer: Whether the issuer was taken into the pseudonym: yes or no.
    """

    source: str
    status: str
    reason: str = ""
    patient_id: str = ""
    study_instance_uid: str = ""
    sop_instance_uid: str = ""
    content: str = ""
    digest: str = ""
    id_tag: str = ""
    issuer_tag: str = ""
    by_issuer: str = ""


@dataclass
class DeidentificationReport:
    """What a run did.

    Args:
        reasons: By status and reason: why files wait or are refused, and what is doubtful about others.
        labels_left: Labels of the source that do not go along.
        notes: What a user should know of the folder.
        refused: Refused files as reports may show them, with why.
        entries: Of each file, with its path in the source, which no record but the crosswalk may repeat.
    """

    counts: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, Counter[str]] = field(default_factory=dict)
    reused: int = 0
    labels_left: int = 0
    notes: tuple[str, ...] = ()
    refused: tuple[SkippedFile, ...] = ()
    entries: list[tuple[str, Entry]] = field(default_factory=list, repr=False)

    def add(self, file: str, entry: Entry, *, reused: bool) -> None:
        """Count one file."""
        self.entries.append((file, entry))
        self.counts[entry.status] += 1
        self.reused += reused
        if entry.reason:
            self.reasons.setdefault(entry.status, Counter())[entry.reason] += 1

    def films(self) -> dict[str, list[str]]:
        """Give the files of each new SOP Instance UID."""
        films: dict[str, list[str]] = {}
        for file, entry in self.entries:
            if entry.status != REFUSED:
                films.setdefault(entry.sop_instance_uid, []).append(file)
        return films

    def lines(self) -> list[str]:
        """Tell the counts, then the reasons, most frequent first, and the first refused files by their names."""
        lines = [", ".join(f"{self.counts[status]} {words}" for status, words in _TOLD.items())]
        for status, reasons in self.reasons.items():
            lines += [f"{count} {_TOLD[status]}: {reason}" for reason, count in reasons.most_common()]
        lines += [f"refused {each.file}: {each.reason}" for each in self.refused[:_MOST_NAMED]]
        if len(self.refused) > _MOST_NAMED:
            lines.append(f"and {len(self.refused) - _MOST_NAMED} more refused files in report.json")
        if self.labels_left:
            lines.append(f"{self.labels_left} labels stay behind: they might name a patient, or are no plain words")
        return [*lines, *self.notes]
