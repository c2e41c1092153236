"""What is known about a film, and which origins are let in."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from monai_xr.dicom import read_header, read_xray
from monai_xr.dicom.deidentification.data_set import deidentify
from monai_xr.dicom.deidentification.hidden_pixels import read_one_frame
from monai_xr.dicom.deidentification.pseudonyms import Pseudonyms
from monai_xr.dicom.identity import film_identity
from monai_xr.errors import ConfigurationError, InputDataError

PIXELS = np.array([[0, 128, 255]], np.uint8)
PHANTOM = {"SyntheticData": "YES", "ManufacturerModelName": "monai_xr phantom"}


def test_what_the_header_says_is_kept(write_film):
    image = read_xray(
        write_film(
            PIXELS,
            Modality="DX",
            ViewPosition="PA",
            ImageLaterality="U",
            PatientID="  4711 ",
            BurnedInAnnotation="NO",
            SOPClassUID="1.2.840.10008.5.1.4.1.1.1.1",
        )
    )
    assert (image.modality, image.view, image.laterality, image.patient_id) == ("DX", "PA", "U", "4711")
    assert (image.study_instance_uid, image.series_instance_uid, image.sop_instance_uid) == (
        "1.2.3",
        "1.2.3.1",
        "1.2.3.4",
    )
    assert image.sop_class_uid == "1.2.840.10008.5.1.4.1.1.1.1"
    assert (image.photometric, image.burned_in, image.bits, image.origin) == ("MONOCHROME2", "NO", 8, "patient")
    assert image.transfer_syntax == "1.2.840.10008.1.2.1"


def test_empty_tags_are_empty_text(write_film):
    image = read_xray(write_film(PIXELS, PatientID="", Modality=None, ViewPosition=""))
    assert (image.patient_id, image.modality, image.view, image.laterality, image.burned_in) == ("", "", "", "", "")


@pytest.mark.parametrize(("written", "known"), [("YES", "YES"), ("NO", "NO"), ("", ""), ("MAYBE", "")])
def test_burned_in_annotation_is_yes_no_or_unknown(write_film, written, known):
    assert read_xray(write_film(PIXELS, BurnedInAnnotation=written)).burned_in == known


def test_laterality_of_the_series_is_second(write_film):
    assert read_xray(write_film(PIXELS, Laterality="R")).laterality == "R"
    assert read_xray(write_film(PIXELS, Laterality="R", ImageLaterality="L")).laterality == "L"


# Codes of context group 4010 of PS3.16.
@pytest.mark.parametrize(
    ("code", "scheme", "view"),
    [("272479007", "SCT", "PA"), ("R-10206", "SRT", "AP"), ("399173006", "SCT", "LL"), ("1", "99X", "")],
)
def test_the_view_may_be_a_code(write_film, code, scheme, view):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, scheme, "view"
    assert read_xray(write_film(PIXELS, ViewCodeSequence=[item])).view == view


def test_names_beyond_ascii_are_read(write_film):
    assert read_xray(write_film(PIXELS, SpecificCharacterSet="ISO_IR 192", PatientID="Ä-7")).patient_id == "Ä-7"


@pytest.mark.parametrize(
    ("tags", "origin"),
    [
        (PHANTOM, "phantom"),
        ({"SyntheticData": "YES"}, "generated"),
        ({"SyntheticData": "YES", "ManufacturerModelName": "other"}, "generated"),
        ({"PatientID": "SYNTH-0001"}, "generated"),
        ({**PHANTOM, "PatientID": "SYNTH-0001"}, "phantom"),
        # what another program may leave of the marks
        ({"ManufacturerModelName": "monai_xr phantom"}, "generated"),
        ({"ManufacturerModelName": "monai_xr generator"}, "generated"),
        ({"ImageType": ["DERIVED", "SECONDARY", "", "SYNTHETIC"]}, "generated"),
    ],
)
def test_what_is_not_of_a_patient_is_refused_unless_admitted(write_film, tags, origin):
    film = write_film(PIXELS, **tags)
    with pytest.raises(InputDataError, match="not a film of a patient"):
        read_xray(film)
    assert read_xray(film, admit=("patient", origin)).origin == origin
    other = "generated" if origin == "phantom" else "phantom"
    with pytest.raises(InputDataError, match="not a film of a patient"):
        read_xray(film, admit=("patient", other))


def test_the_network_among_the_contributing_equipment_is_a_mark(write_film):
    item = Dataset()
    item.ManufacturerModelName = "monai_xr generator"
    assert (
        read_xray(write_film(PIXELS, ContributingEquipmentSequence=[item]), admit=("generated",)).origin == "generated"
    )


def test_films_of_patients_may_be_refused_too(write_film):
    with pytest.raises(InputDataError, match="a patient's film"):
        read_xray(write_film(PIXELS, SyntheticData="NO"), admit=("phantom",))


@pytest.mark.parametrize("admit", [("patients",), "patient"])
def test_an_unknown_origin_is_an_error_of_the_setting(write_film, admit):
    with pytest.raises(ConfigurationError, match="unknown origin"):
        read_xray(write_film(PIXELS), admit=admit)


@pytest.mark.parametrize(
    ("options", "match"),
    [({"frame": -1}, "no frame"), ({"window": -1}, "no window"), ({"decode": "quick"}, "unknown way to decode")],
)
def test_arguments_out_of_range_are_errors_of_the_setting(write_film, options, match):
    with pytest.raises(ConfigurationError, match=match):
        read_xray(write_film(PIXELS), **options)


def test_objects_that_are_no_projection_are_refused_by_modality(write_film):
    with pytest.raises(InputDataError, match=r"not a projection X-ray image .*modality CT"):
        read_xray(write_film(PIXELS, SOPClassUID="1.2.840.10008.5.1.4.1.1.2", Modality="CT"))


@pytest.mark.parametrize("modality", ["CANARY", "ZZPHI 1", ""])
def test_a_modality_that_is_no_term_is_not_repeated(write_film, modality):
    with pytest.raises(InputDataError, match=r"modality unknown\)") as failure:
        read_xray(write_film(PIXELS, SOPClassUID="1.2.840.10008.5.1.4.1.1.2", Modality=modality))
    assert not modality or modality not in str(failure.value)


def test_a_message_holds_neither_folder_nor_patient(write_film):
    film = write_film(PIXELS, PatientID="ZZPHI-1", PatientName="ZZPHI^CANARY", Rows=7)
    with pytest.raises(InputDataError) as failure:
        read_xray(film)
    assert "film.dcm" in str(failure.value)
    assert "ZZPHI" not in str(failure.value)
    assert str(film.parent) not in str(failure.value)


def qualified(authority: str) -> list[Dataset]:
    item = Dataset()
    item.UniversalEntityID, item.UniversalEntityIDType = authority, "ISO"
    return [item]


@pytest.mark.parametrize(
    ("tags", "patient"),
    [
        ({"PatientID": "123"}, ("123", "")),
        ({"PatientID": "123", "IssuerOfPatientID": ""}, ("123", "")),
        ({"PatientID": "123", "IssuerOfPatientID": "NORTH"}, ("123", "NORTH")),
        ({"PatientID": "123", "IssuerOfPatientIDQualifiersSequence": qualified("1.2.9")}, ("123", "1.2.9")),
        ({"PatientID": "", "IssuerOfPatientID": "NORTH"}, ("", "")),
    ],
)
def test_patients_are_told_apart_by_id_and_issuer(write_film, tags, patient):
    identity = film_identity(read_header(write_film(PIXELS, **tags)))
    assert identity == (*patient, "1.2.3", "1.2.3.4")


def test_two_hospitals_123_get_two_pseudonyms(write_film):
    key = Pseudonyms(b"k" * 32)
    ids = [
        deidentify(read_one_frame(write_film(PIXELS, PatientID="123", IssuerOfPatientID=issuer)), key).PatientID
        for issuer in ("NORTH", "SOUTH", "NORTH", "")
    ]
    assert ids[0] == ids[2]
    assert len(set(ids)) == 3
