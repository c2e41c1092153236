"""What is told of the films of a study repeats no value of them, and no film of another study changes it."""

from pathlib import Path

import pytest
from canary import CANARIES, canary, put
from intake_site import chest, site_in
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from monai_xr.data.deidentifying.deidentified_folder import encoded
from monai_xr.pacs.studying import StudyWork, open_job

READ = (
    "Modality", "BodyPartExamined", "ViewPosition", "StudyDescription", "SeriesDescription", "StationName",
    "ImageType", "PatientAge", "PatientBirthDate", "StudyDate", "PhotometricInterpretation", "PresentationLUTShape",
    "VOILUTFunction", "WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "PixelSpacing",
    "PatientOrientation", "BurnedInAnnotation", "ManufacturerModelName", "AnatomicRegionSequence",
    "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "SpecificCharacterSet", "LossyImageCompression",
)  # fmt: skip
RULES = [
    {"name": "every-criterion", "then": "keep", "modality": ["X"], "body_part": ["X"], "derived": True, "age_from": 1},
    {"name": "rest", "then": "keep"},
]


@pytest.mark.parametrize("keyword", READ)
def test_no_reason_repeats_a_value(tmp_path: Path, keyword: str) -> None:
    site = site_in(tmp_path, rules=RULES)
    store = tmp_path / "store"
    store.mkdir()
    for number, vr in enumerate(("LO", dictionary_VR(tag_for_keyword(keyword) or 0)), start=1):
        ds = chest(number)
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        put(ds, keyword, canary(vr), vr)
        (store / f"{number}.dcm").write_bytes(encoded(ds))
    open_job(site, "main").start()
    work = StudyWork(site)
    for number in (1, 2):
        reason = work.work([f"{number}.dcm"]).reason
        assert reason
        assert not [word for word in CANARIES if word in reason.encode()]
