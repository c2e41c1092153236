"""Works on one study: each of its films is judged by the rules, decoded and de-identified into its place.

The work can be done again at any time with the same result: what has its place is known there by its content. Nothing
that is told of it repeats a value of a film.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

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
from monai_xr.pacs.rules import decide
from monai_xr.pacs.site import Site, required

# What may do better next time is done again; one film that fails brings its study to the quarantine.
AGAIN, QUARANTINED, PLACED, IGNORED = _ORDER = ("again", "quarantined", "placed", "ignored")
_MOST_REASONS = 5
_PHANTOM = "a phantom: deidentification.accept_phantoms in site.yaml lets it in"
_KEPT, _REVIEW = "in the data set", "wait for monai-xr review"


class Sum:
    """What became of the films of a study, counted by fixed words."""

    def __init__(self) -> None:
        self._counts = {state: Counter[str]() for state in _ORDER}

    def add(self, state: str, words: str) -> None:
        """Count a film."""
        self._counts[state][words] += 1

    @property
    def state(self) -> str:
        """What becomes of the study."""
        return next((state for state, counted in self._counts.items() if counted), IGNORED)

    @property
    def reason(self) -> str:
        """All counts in words."""
        counts = (each.most_common(_MOST_REASONS) for each in self._counts.values())
        return "; ".join(f"{count} {words}" for each in counts for words, count in each)


class StudyWork:
    """The rules and data sets of a site, for one study after the other."""

    def __init__(self, site: Site) -> None:
        self._site, self._store = site, site.store.folder
        self._settings = required(site.deidentification, "deidentification")
        self._jobs: dict[str, tuple[int, SharedJob]] = {}

    def work(self, files: Sequence[str]) -> Sum:
        """Bring the films of a study, named relative to the store, to their places."""
        done = Sum()
        chosen, patients = self._chosen(files, done)
        if len(patients) > 1:
            done.add(QUARANTINED, f"its films name {len(patients)} patients")
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
                header = read_header(self._store / file)
                patients.add(patient_identity(header)[:2])  # a study is of one patient, whoever issued his id
                data_set, why_not = self._data_set(header)
            except InputDataError as error:
                done.add(QUARANTINED, error.what)
                continue
            if why_not:
                done.add(IGNORED, f"ignored: {why_not}")
            else:
                chosen[file] = data_set
        return chosen, patients

    def _data_set(self, header: Dataset) -> tuple[str, str]:
        if sop_class(header) not in SOP_CLASSES and "Rows" not in header:
            return "", "no image"
        verdict = decide(header, self._site.rules)
        if not verdict.data_set:
            return "", f"rule {verdict.rule.name}" if verdict.rule else "no rule takes it"
        if film_origin(header) == "phantom" and "phantom" not in self._settings.admit:
            raise InputDataError(_PHANTOM)
        doubt = chest_doubt(header)
        if is_other_than_chest(doubt) and not self._settings.accept_non_chest:
            return "", doubt
        return verdict.data_set, ""

    def _decodes(self, file: str, done: Sum) -> bool:
        try:
            read_isolated(self._store / file, frame=None, window=0, admit=self._settings.admit)
        except InputDataError as error:
            done.add(AGAIN if isinstance(error, PassingError) else QUARANTINED, error.what)
            return False
        return True

    def _take(self, files: Sequence[str], data_set: str, done: Sum) -> None:
        decisions = DeidentifiedFolder(self._settings.folder / data_set).decisions
        stamp = decisions.stat().st_mtime_ns if decisions.exists() else 0
        opened, job = self._jobs.get(data_set, (-1, None))
        if job is None or opened != stamp:  # what a review decided is read at the beginning
            job = SharedJob(open_job(self._site, data_set))
            self._jobs[data_set] = stamp, job
        for entry in job.take(files):
            if entry.status == REFUSED:
                done.add(QUARANTINED, entry.reason)
            else:
                done.add(PLACED, _REVIEW if entry.status == WAITING else _KEPT)


def open_job(site: Site, data_set: str) -> Job:
    """Open the de-identification of a data set, whose source is the store."""
    told = required(site.deidentification, "deidentification")
    options = DeidentificationOptions(shift_dates=told.shift_dates, keep_characteristics=told.keep_characteristics)
    admission = Admission(told.admit, accept_non_chest=told.accept_non_chest, allow_times=told.allow_times)
    return Job.open(site.store.folder, told.folder / data_set, told.key, options, admission)
