"""Tells who is one patient among the films of a de-identification, though not all name who issued his id: `Patients`.

The rule is that of data folders, `ids_of_several`: the issuer tells patients apart only where several gave the same id
and no film leaves it open. Whoever was given a pseudonym in a folder keeps it, whatever comes later.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset

from monai_xr.data.deidentifying.outcomes import Entry
from monai_xr.data.identifiers import ids_of_several
from monai_xr.dicom import read_header
from monai_xr.dicom.deidentification.pseudonyms import Pseudonyms
from monai_xr.dicom.identity import film_identity, patient_identity
from monai_xr.errors import InputDataError


@dataclass(frozen=True)
class Patients:
    """Who issued which id, as keyed tags.

    Args:
        pseudonyms: Of the key.
        issuers: Of each id; "" stands for a film that names none.
        told: Whether the issuer was taken into the pseudonym of an id and its issuer: "yes" or "no".
    """

    pseudonyms: Pseudonyms
    issuers: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    told: dict[tuple[str, str], str] = field(default_factory=dict)

    def note(self, entry: Entry) -> None:
        """Take up what an earlier run, or this one, made of a film."""
        if entry.id_tag and entry.patient_id:
            self.issuers[entry.id_tag].add(entry.issuer_tag)
            self.told.setdefault((entry.id_tag, entry.issuer_tag), entry.by_issuer)

    def look_at(self, film: Path) -> None:
        """Take up who issued the id of a film that is still to be done; what cannot be read is refused later."""
        try:
            patient, issuer = self._tags(read_header(film))
        except InputDataError:
            return
        if patient:
            self.issuers[patient].add(issuer)

    def of(self, ds: Dataset) -> tuple[tuple[str, ...], dict[str, str]]:
        """Give the identity that the pseudonym of a film is made of, and what its entry keeps of that."""
        identity, (patient, issuer) = patient_identity(ds), self._tags(ds)
        if not patient:
            return identity, {}
        several = ids_of_several({patient: {issuer, *self.issuers.get(patient, ())}})
        by_issuer = self.told.get((patient, issuer)) or ("yes" if several else "no")
        kept = {"id_tag": patient, "issuer_tag": issuer, "by_issuer": by_issuer}
        return identity if by_issuer == "yes" else identity[:2], kept

    def _tags(self, ds: Dataset) -> tuple[str, str]:
        patient, issuer = film_identity(ds)[:2]
        return (
            self.pseudonyms.tag("patient id", patient) if patient else "",
            self.pseudonyms.tag("issuer", issuer) if issuer else "",
        )
