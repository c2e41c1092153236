"""Dates and patient characteristics: gone, or kept by the options of PS3.15."""

import numpy as np
import pytest
from canary import film, hits, put

from monai_xr.dicom.deidentification.data_set import DeidentificationOptions, deidentify
from monai_xr.dicom.deidentification.pseudonyms import Pseudonyms

KEY = Pseudonyms(b"k" * 32)
ALL = DeidentificationOptions(shift_dates=True, keep_characteristics=True)


def test_dates_go_unless_they_are_asked_for():
    dated = {"SeriesDate": "20240301", "AcquisitionDate": "20240301", "ContentDate": "20240302",
             "AcquisitionDateTime": "20240301101112.5+0100", "ContentTime": "101112"}  # fmt: skip
    bare = deidentify(film(**dated), KEY)
    assert (bare.StudyDate, bare.ContentDate, bare.ContentTime) == ("", "", "")
    assert not {"SeriesDate", "AcquisitionDate", "AcquisitionDateTime"} & {element.keyword for element in bare}
    moved = deidentify(film(**dated), KEY, ALL)

    def days(text: str) -> int:
        return np.datetime64(f"{text[:4]}-{text[4:6]}-{text[6:8]}").astype(int)

    shift = days("20240229") - days(moved.StudyDate)
    assert 1 <= shift <= 3652
    assert days("20240301") - days(moved.SeriesDate) == shift
    assert days("20240301") - days(moved.AcquisitionDateTime) == shift
    assert len(moved.AcquisitionDateTime) == 8
    assert days("20240302") - days(moved.ContentDate) == shift
    assert moved.ContentTime == moved.StudyTime == ""
    later = deidentify(film(**dated, SOPInstanceUID="1.9.190.7", StudyInstanceUID="1.9.190.8"), KEY, ALL)
    assert later.StudyDate == moved.StudyDate
    shifts = {deidentify(film(PatientID=f"CANARY-{n}"), KEY, ALL).StudyDate for n in range(20)}
    assert len(shifts) > 15


@pytest.mark.parametrize("date", ["20241340", "yesterday", "00010101", "2024", "ZZPHI"])
def test_impossible_dates_are_emptied(date):
    ds = film()
    put(ds, "StudyDate", date)
    assert deidentify(ds, KEY, ALL).StudyDate == ""


@pytest.mark.parametrize(("age", "kept"), [("034Y", "034Y"), ("090Y", "090Y"), ("101Y", "090Y"), ("006M", "006M")])
def test_characteristics_are_kept_where_asked_for(age, kept):
    ds = film(PatientAge=age, PatientWeight="71", EthnicGroup="CANARY", PatientState="CANARY")
    clean = deidentify(ds, KEY, ALL)
    assert (clean.PatientSex, clean.PatientAge, clean.PatientWeight) == ("F", kept, 71)
    assert "EthnicGroup" not in clean
    bare = deidentify(ds, KEY)
    assert bare.PatientSex == ""
    assert "PatientAge" not in bare
    put(ds, "PatientAge", "CANARY")
    put(ds, "PatientSex", "CANARY")
    assert hits(deidentify(ds, KEY, ALL)) == []
