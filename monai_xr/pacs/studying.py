"""The received objects of one study in; each film judged, decoded and de-identified into its place, and the sum, out.

The work can be done again at any time with the same result: what has its place is known there by its content. Nothing
in a sum tells a value of a film.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset

from monai_xr.data.deidentifying.deidentified_folder import DeidentifiedFolder, disk_trouble
from monai_xr.data.deidentifying.job import Admission, Job
from monai_xr.data.deidentifying.outcomes import REFUSED, WAITING
from monai_xr.data.deidentifying.shared_job import SharedJob
from monai_xr.dicom.chest import SOP_CLASSES, chest_doubt, is_other_than_chest
from monai_xr.dicom.deidentification.data_set import DeidentificationOptions
from monai_xr.dicom.header import read_header
from monai_xr.dicom.identity import film_origin, patient_identity, sop_class
from monai_xr.dicom.sandbox.isolated_reading import read_isolated
from monai_xr.errors import InputDataError, PassingError
from monai_xr.pacs.rules import Rule, decide
from monai_xr.pacs.site import Deidentification

PLACED, IGNORED, QUARANTINED, AGAIN = "placed", "ignored", "quarantined", "again"
_MOST_REASONS = 5
_PHANTOM = "a phantom: deidentification.accept_phantoms in site.yaml lets it in"
_KEPT, _REVIEW = "in the data set", "wait for monai-xr review"


@dataclass
class Sum:
    """What became of the films of a study, counted by fixed words."""

    passing: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)

    @property
    def state(self) -> str:
        """What may do better next time is done again; one film that fails brings its study to the quarantine."""
        if self.passing or self.failed:
            return AGAIN if self.passing else QUARANTINED
        return PLACED if self.kept else IGNORED

    @property
    def reason(self) -> str:
        """All counts in words."""
        counts = (self.passing, self.failed, self.kept, self.ignored)
        return "; ".join(f"{count} {words}" for each in counts for words, count in each.most_common(_MOST_REASONS))


class StudyWork:
    """The rules and data sets of a site, for one study after the other."""

    def __init__(self, store: Path, rules: Sequence[Rule], settings: Deidentification) -> None:
        self.store, self.rules, self.settings = store, rules, settings
        self._jobs: dict[str, tuple[int, SharedJob]] = {}

    def work(self, files: Sequence[str]) -> Sum:
        """Bring the films of a study, named relative to the store, to their places."""
        done = Sum()
        chosen, patients = self._chosen(files, done)
        if len(patients) > 1:
            done.failed[f"its films name {len(patients)} patients"] += 1
            return done
        good = [file for file in chosen if self._decodes(file, done)]
        with disk_trouble():
            for data_set in dict.fromkeys(chosen[file] for file in good):
                self._take([file for file in good if chosen[file] == data_set], data_set, done)
        return done

    def _chosen(self, files: Sequence[str], done: Sum) -> tuple[Mapping[str, str], set[tuple[str, ...]]]:
        """Give the data set of each film that is to go on, and the patients of all."""
        chosen: dict[str, str] = {}
        patients: set[tuple[str, ...]] = set()
        for file in files:
            try:
                header = read_header(self.store / file)
                patients.add(patient_identity(header)[:2])  # a study is of one patient, whoever issued his id
                data_set, why_not = self._data_set(header)
            except InputDataError as error:
                done.failed[error.what] += 1
                continue
            if why_not:
                done.ignored[f"ignored: {why_not}"] += 1
            else:
                chosen[file] = data_set
        return chosen, patients

    def _data_set(self, header: Dataset) -> tuple[str, str]:
        if sop_class(header) not in SOP_CLASSES and "Rows" not in header:
            return "", "no image"
        verdict = decide(header, self.rules)
        if not verdict.data_set:
            return "", f"rule {verdict.rule.name}" if verdict.rule else "no rule takes it"
        if film_origin(header) == "phantom" and "phantom" not in self.settings.admit:
            raise InputDataError(_PHANTOM)
        doubt = chest_doubt(header)
        if is_other_than_chest(doubt) and not self.settings.accept_non_chest:
            return "", doubt
        return verdict.data_set, ""

    def _decodes(self, file: str, done: Sum) -> bool:
        try:
            read_isolated(self.store / file, frame=None, window=0, admit=self.settings.admit)
        except InputDataError as error:
            (done.passing if isinstance(error, PassingError) else done.failed)[error.what] += 1
            return False
        return True

    def _take(self, files: Sequence[str], data_set: str, done: Sum) -> None:
        decisions = DeidentifiedFolder(self.settings.folder / data_set).decisions
        stamp = decisions.stat().st_mtime_ns if decisions.exists() else 0
        opened, job = self._jobs.get(data_set, (-1, None))
        if job is None or opened != stamp:  # what a review decided is read at the beginning
            job = SharedJob(open_job(self.store, self.settings, data_set))
            self._jobs[data_set] = stamp, job
        for entry in job.take(files):
            if entry.status == REFUSED:
                done.failed[entry.reason] += 1
            else:
                done.kept[_REVIEW if entry.status == WAITING else _KEPT] += 1


def open_job(store: Path, settings: Deidentification, data_set: str) -> Job:
    """Open the de-identification of a data set, whose source is the store."""
    options = DeidentificationOptions(
        shift_dates=settings.shift_dates, keep_characteristics=settings.keep_characteristics
    )
    return Job.open(
        store,
        settings.folder / data_set,
        settings.key,
        options,
        Admission(settings.admit, accept_non_chest=settings.accept_non_chest, allow_times=settings.allow_times),
    )
