"""What names a patient, a hospital or a station stays in no kept text and no kept number, however short it is."""

import numpy as np
import pytest
from canary import film, put
from pydicom.dataset import Dataset

from monai_xr.dicom.deidentification.data_set import deidentify
from monai_xr.dicom.deidentification.pseudonyms import Pseudonyms

KEY = Pseudonyms(b"k" * 32)
TEXTS = ("Manufacturer", "ManufacturerModelName", "SoftwareVersions")


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Li^Wu", "made for Li Wu"),
        ("Li^Wu", "WU 2000"),
        ("Li^Wu", "LiWu"),
        ("Li^Wu", "wuli"),
        ("Ng^Al", "Ng's machine"),
        ("Ng^Al", "al_1.0"),
        ("山田^太郎", "太郎の装置"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "山田1.0"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "ﾔﾏﾀﾞ ﾔﾏﾀﾞ やまた"),
        ("李^", "李"),
        ("김^희중", "for 희중"),
        ("Müller^Änne", "MUELLER 1.2"),
        ("Müller^Änne", "Muller"),
        ("Søren^Å", "Soeren"),
        ("\uff2c\uff49^\uff37\uff55", "for Li"),
        ("O'Brien^Ann", "OBrien"),
        ("Иванов^Ян", "ИВАНОВ"),
        ("Иванов^Ян", "made for Ян"),
    ],
)
@pytest.mark.parametrize("keyword", TEXTS)
def test_names_of_any_length_and_script_stay_behind(name, written, keyword):
    ds = film(SpecificCharacterSet="ISO_IR 192", PatientName=name, **{keyword: written})
    assert deidentify(ds, KEY)[keyword].value == ""


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Li^Wu", "Philips Medical Systems"),
        ("Li^Wu", "Lightspeed"),
        ("Ng^Al", "Digital Imaging"),
        ("Smith^J", "DRX-1 J2"),
        ("山田^太郎", "富士フイルム"),
    ],
)
def test_names_within_other_words_are_not_seen(name, written):
    ds = film(SpecificCharacterSet="ISO_IR 192", PatientName=name, Manufacturer=written)
    assert deidentify(ds, KEY).Manufacturer == written


REMOVED = {
    "InstitutionName": "Saint Bavo Clinic",
    "StationName": "BAVO-3",
    "InstitutionAddress": "12 Canal Row, Brugge",
    "InstitutionalDepartmentName": "Urgences",
    "StudyDescription": "for Dr. Heymans",
    "DeviceSerialNumber": "99120377",
    "RetrieveAETitle": "BAVO",
    "PatientComments": "lives in Brugge",
    "MilitaryRank": "Kolonel",
    "ImageComments": "Kolonel",
}


@pytest.mark.parametrize(
    ("keyword", "written"),
    [
        ("InstitutionName", "Bavo special"),
        ("InstitutionName", "v1.2-saintbavo"),
        ("InstitutionName", "SAINT 2"),
        ("StationName", "bavo"),
        ("InstitutionAddress", "brugge edition"),
        ("InstitutionalDepartmentName", "URGENCES 1"),
        ("StudyDescription", "heymans"),
        ("DeviceSerialNumber", "S/N 99120377"),
        ("RetrieveAETitle", "bavo 7"),
        ("PatientComments", "Brugge"),
        ("MilitaryRank", "kolonel"),
        ("ImageComments", "kolonel"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_words_of_every_removed_text_stay_behind(keyword, written, nested):
    if nested:
        request = Dataset()
        setattr(request, keyword, REMOVED[keyword])
        ds = film(RequestAttributesSequence=[request])
    else:
        ds = film(**{keyword: REMOVED[keyword]})
    for kept in TEXTS:
        assert deidentify(_with(ds, kept, written), KEY)[kept].value == "", kept


def _with(ds: Dataset, keyword: str, value: str) -> Dataset:
    put(ds, keyword, value)
    return ds


def test_terms_that_did_not_pass_stay_behind_in_other_texts_too():
    clean = deidentify(film(BodyPartExamined="BAVOCHEST", Manufacturer="Bavochest", SoftwareVersions="1.0 CHEST"), KEY)
    assert (clean.BodyPartExamined, clean.Manufacturer, clean.SoftwareVersions) == ("", "", "1.0 CHEST")


# Real headers: NEMA's RG1 film names its maker as its institution.
def test_makers_and_words_of_the_trade_are_no_secret():
    ds = film(
        Manufacturer="Philips Medical Systems",
        ManufacturerModelName="Digital Radiography Mobile DR 7300",
        SoftwareVersions="Version 3.3.1",
        InstitutionName="Philips Medical Systems Hamburg",
        StationName="THORAVISION",
        StudyDescription="THORAX digital radiography mobile, 2 views, version 1",
        StudyID="1",
    )
    clean = deidentify(ds, KEY)
    assert [clean[keyword].value for keyword in TEXTS] == [ds[keyword].value for keyword in TEXTS]


# A patient may be called like a maker.
def test_a_maker_does_not_excuse_the_name_of_a_patient():
    assert deidentify(film(PatientName="Philips^John", Manufacturer="Philips Medical Systems"), KEY).Manufacturer == ""


@pytest.mark.parametrize(
    "keyword", ["SeriesNumber", "AcquisitionNumber", "InstanceNumber", "ExposureIndex", "Exposure"]
)
@pytest.mark.parametrize(
    ("patient_id", "number"),
    [("7", "7"), ("80123", "80123"), ("00080123", "80123"), ("80-12-34", "801234"), ("MRN 80123", "80123"),
     ("MRN-8012345", "180123459")],
)  # fmt: skip
def test_numbers_equal_to_the_patient_id_stay_behind(keyword, patient_id, number):
    clean = deidentify(film(PatientID=patient_id, **{keyword: number}), KEY)
    assert clean.get(keyword) in (None, "")
    one_more = str(int(number) + 1)
    assert str(deidentify(film(PatientID="MRN-99", **{keyword: one_more}), KEY)[keyword].value) == one_more


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("OtherPatientIDs", "801234"), ("AccessionNumber", "801234"), ("PatientBirthDate", "19010203"),
     ("StudyDate", "20240229"), ("PatientTelephoneNumbers", "555-801234"), ("DeviceSerialNumber", "801234")],
)  # fmt: skip
def test_numbers_of_other_identifiers_stay_behind(keyword, value):
    number = "".join(filter(str.isdigit, value))[-8:]
    clean = deidentify(film(**{keyword: value}, SeriesNumber=number), KEY)
    assert clean.SeriesNumber == ""


def test_numbers_the_picture_needs_are_kept_unless_they_are_long():
    kept = {"WindowCenter": "2048", "WindowWidth": "4096", "RescaleSlope": "1", "RescaleIntercept": "0"}
    clean = deidentify(film(PatientID="2048", **kept), KEY)
    assert [float(clean[keyword].value) for keyword in kept] == [2048, 4096, 1, 0]
    assert (clean.Rows, clean.Columns, clean.BitsStored) == (2, 3, 12)
    hidden = deidentify(film(PatientID="8012345", WindowCenter="8012345", WindowWidth="4096"), KEY)
    assert "WindowCenter" not in hidden


def test_short_numbers_of_other_texts_are_no_identifiers():
    clean = deidentify(film(StudyID="1", ProtocolName="speed 400", SeriesNumber="1", ExposureIndex="400"), KEY)
    assert (clean.SeriesNumber, clean.ExposureIndex) == (1, 400)


def test_text_in_lookup_tables_stays_behind():
    lut = Dataset()
    lut.LUTDescriptor = [8, 0, 16]
    put(lut, "LUTData", b"\0\0ZZPHI^CANARY..", "OW")
    assert "VOILUTSequence" not in deidentify(film(VOILUTSequence=[lut]), KEY)


def test_bytes_behind_the_last_entry_of_a_table_are_cut():
    lut = Dataset()
    lut.LUTDescriptor = [2, 0, 16]
    put(lut, "LUTData", b"\0\0\1\0" + b"JANE", "OW")
    clean = deidentify(film(VOILUTSequence=[lut]), KEY)
    assert clean.VOILUTSequence[0].LUTData == b"\0\0\1\0"


def test_a_reading_in_katakana_is_known_in_hiragana():
    tags = {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Yamada^Taro=山田^太郎=ヤマダ^タロウ"}
    for written in ("やまだ病院", "ヤマダ", "ﾔﾏﾀﾞ"):
        assert not deidentify(film(**tags, Manufacturer=written), KEY).Manufacturer
    assert deidentify(film(**tags, Manufacturer="しまづ"), KEY).Manufacturer == "しまづ"


@pytest.mark.parametrize(
    "spelled",
    [
        np.frombuffer(b"xxZZPHI^CANARYxx", "<u2"),
        np.frombuffer(b"xxZZPHI^CANARYxx", ">u2"),
        np.frombuffer(b"xxZZPHI^CANARYxx", "u1"),
        np.frombuffer(b"xxZZPHI^CANARYxx", "u1").astype(np.uint16) << 8,
    ],
)
@pytest.mark.parametrize("vr", ["US", "OW"])
def test_no_name_is_spelled_by_the_entries_of_a_table(spelled, vr):
    table = Dataset()
    entries = np.concatenate([np.arange(4096 - len(spelled)), spelled]).astype("<u2")
    table.add_new(0x00283002, "US", [4096, 0, 12])
    table.add_new(0x00283006, vr, entries.tobytes() if vr == "OW" else entries.tolist())
    assert "VOILUTSequence" not in deidentify(film(VOILUTSequence=[table]), KEY)
    innocent = np.arange(4096, dtype="<u2")
    table.add_new(0x00283006, vr, innocent.tobytes() if vr == "OW" else innocent.tolist())
    for patient in ("CANARY-1", "12345", "23456789"):  # a ramp counts through the digits
        assert "VOILUTSequence" in deidentify(film(VOILUTSequence=[table], PatientID=patient), KEY)
