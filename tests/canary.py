"""A patient who must be found in no output: data sets that name him everywhere, and the search for him."""

import warnings
from typing import Any

import numpy as np
from films import film_dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from monai_xr.data.deidentifying.deidentified_folder import encoded

CANARIES = (b"ZZPHI", b"CANARY", b"19010203", b"1.9.190")


def film(syntax: str = ExplicitVRLittleEndian, **tags: Any) -> Dataset:
    ds = film_dataset(np.zeros((2, 3), np.uint16), bits=12)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = "1.9.190.1", "1.9.190.2", "1.9.190.3"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = "ZZPHI^CANARY", "CANARY-1", "19010203"
    ds.PatientSex, ds.PatientAge, ds.StudyDate, ds.StudyTime = "F", "034Y", "20240229", "101112"
    ds.ViewPosition, ds.BurnedInAnnotation = "PA", "NO"
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    ds.add_new(0x7FE00010, "OW", np.arange(6, dtype=f"{order}u2").tobytes())
    for keyword, value in tags.items():
        put(ds, keyword, value)
    return ds


def canary(vr: str) -> Any:
    """A value of a VR that names the canary patient."""
    if vr == "SQ":
        item = Dataset()
        item.PatientName, item.PatientBirthDate = "ZZPHI^CANARY", "19010203"
        return Sequence([item])
    values: dict[str, Any] = {
        "PN": "ZZPHI^CANARY", "AE": "ZZPHI CANARY", "CS": "ZZPHI CANARY", "AS": "019Y", "UI": "1.9.19010203",
        "DA": "19010203", "DT": "19010203010203", "TM": "190102.03", "DS": "19010203", "IS": "19010203",
        "OB": b"ZZPHI^CANARY", "OW": b"ZZPHI^CANARY", "UN": b"ZZPHI^CANARY", "OB or OW": b"ZZPHI^CANARY",
        "US": 19010, "SS": 19010, "US or SS": 19010, "UL": 19010203, "SL": 19010203, "FL": 1.9, "FD": 1.9,
    }  # fmt: skip
    return values.get(vr, "https://example.org/ZZPHI" if vr == "UR" else "ZZPHI^CANARY")


def put(ds: Dataset, keyword: str | int, value: Any, vr: str = "") -> None:
    """Set a value as files have it that no standard allows."""
    tag = keyword if isinstance(keyword, int) else tag_for_keyword(keyword)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds.add_new(tag, vr or dictionary_VR(tag), value)


def hits(ds: Dataset) -> list[bytes]:
    content = encoded(ds)
    return [word for word in CANARIES if word in content]
