"""Lets several processes de-identify the files of one source at once, one pseudonym a patient: `SharedJob`.

What one process finds out about who issued the id of a patient is in the record before it makes a pseudonym of it, and
the others read it there before they make theirs.
"""

from collections.abc import Sequence

from monai_xr.data.deidentifying.job import Job
from monai_xr.data.deidentifying.outcomes import Entry
from monai_xr.data.files.json_lines import add_line
from monai_xr.data.files.locks import locked
from monai_xr.dicom import read_header
from monai_xr.errors import InputDataError

_ANNOUNCED = "announced"


class SharedJob:
    """A job that takes some files, while others in the same folder take theirs.

    Args:
        job: Its folder was started and is locked by whoever started this process.

    Raises:
        ConfigurationError: Earlier runs had another key or other options.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self._read = 0
        job.resume()

    def take(self, names: Sequence[str]) -> list[Entry]:
        """Bring DICOM files, all of the same study, to their places; they go by their paths relative to the source."""
        files = [self.job.file(name) for name in names]
        with locked(self.job.folder.quarantine):
            self._read = self.job.catch_up(self._read)
            for name in names:
                self.job.patients.look_at(self.job.source / name)
            for each in files:
                self._announce(each.file, each.source)
        return [self.job.take(each)[0] for each in files]

    def _announce(self, name: str, source: str) -> None:
        if source in self.job.done:
            return
        try:
            identity, kept = self.job.patients.of(read_header(self.job.source / name))
        except InputDataError:  # refused when it is taken
            return
        if kept:
            entry = Entry(source, _ANNOUNCED, patient_id=self.job.pseudonyms.patient(identity), **kept)
            add_line(self.job.folder.manifest, vars(entry), to_disk=False)
            self.job.note(entry)
