"""Films of public sets, with the tags that they have: a missing or malformed id is no reason to refuse pixels."""

import warnings

import numpy as np
import pydicom
import pytest
from dicom.public_sets import SETS, write

from monai_xr.data.deidentifying.deidentified_folder import encoded
from monai_xr.dicom import read_xray
from monai_xr.dicom.deidentification.data_set import deidentify
from monai_xr.dicom.deidentification.hidden_pixels import read_one_frame
from monai_xr.dicom.deidentification.pseudonyms import Pseudonyms
from monai_xr.errors import InputDataError

KEY = Pseudonyms(b"k" * 32)
PIXELS = (np.add.outer(np.arange(48) * 50, np.arange(32) * 40) % 4096).astype(np.uint16)


@pytest.fixture(autouse=True)
def _let_pydicom_write_malformed_values():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("decode", ["direct", "isolated"])
def test_each_set_is_read(tmp_path, kind, decode):
    film = write(tmp_path / "film.dicom", kind, PIXELS)
    image = read_xray(film, decode=decode)
    expected = PIXELS / 4095
    if kind == "siim_covid_19":  # no window: percentiles
        low, high = np.percentile(PIXELS, [0.1, 99.9], method="inverted_cdf")
        expected = np.clip((PIXELS.astype(float) - low) / (high - low), 0, 1)
    np.testing.assert_allclose(image.pixels, expected, atol=0.03 if kind == "rsna_pneumonia" else 1e-3)
    assert image.sop_class_uid == pydicom.dcmread(film).file_meta.MediaStorageSOPClassUID
    assert image.spacing_mm
    assert image.chest_doubt == ""


def test_the_class_of_the_file_meta_counts_where_the_data_set_has_none(tmp_path):
    image = read_xray(write(tmp_path / "film.dicom", "vinbigdata", PIXELS))
    assert "SOP class of the file meta" in image.provenance
    assert image.sop_instance_uid == ""  # 32 hex digits are no UID
    assert (image.modality, image.patient_id) == ("", "")


def test_malformed_uids_count_as_absent_and_are_told(tmp_path):
    image = read_xray(write(tmp_path / "film.dcm", "siim_covid_19", PIXELS))
    assert (image.study_instance_uid, image.series_instance_uid, image.sop_instance_uid) == ("", "", "")
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        assert f"{keyword} is no valid UID, counts as absent" in image.provenance


def test_a_valid_instance_uid_of_the_file_meta_is_taken(tmp_path):
    film = write(tmp_path / "film.dcm", "rsna_pneumonia", PIXELS)
    ds = pydicom.dcmread(film)
    instance = ds.SOPInstanceUID
    del ds.SOPInstanceUID
    ds.save_as(film, enforce_file_format=False)
    assert read_xray(film).sop_instance_uid == instance


@pytest.mark.parametrize(
    "malformed", ["../../../etc/passwd", "/etc/cron.d/x", "1..2", "1." * 40 + "1", "9" * 1100, "1.2.3 JANE"]
)
def test_no_malformed_uid_comes_out_of_the_reader(write_film, malformed):
    image = read_xray(write_film(PIXELS, SOPInstanceUID=malformed, StudyInstanceUID=malformed))
    assert (image.sop_instance_uid, image.study_instance_uid) == ("", "")
    assert not any(malformed in step for step in image.provenance)


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_a_malformed_uid_is_replaced_by_a_valid_one_where_a_file_is_written(write_film, keyword):
    one, same, other = (
        getattr(deidentify(read_one_frame(write_film(PIXELS, **{keyword: written})), KEY), keyword)
        for written in ("65761e66de9f", "65761e66de9f", "65761e66de90")
    )
    assert one.is_valid
    assert one.startswith("2.25.")
    assert one == same != other


@pytest.mark.parametrize("kind", SETS)
def test_each_set_is_deidentified_film_by_film(tmp_path, kind):
    """No two films of a set without patients and studies are taken for those of one patient."""
    films = [write(tmp_path / f"{name}.dicom", kind, PIXELS, name) for name in ("one", "two")]
    one, two = (deidentify(read_one_frame(film), KEY) for film in films)
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        assert getattr(one, keyword).is_valid
        assert getattr(one, keyword) != getattr(two, keyword)
    assert one.PatientID != two.PatientID
    written = pydicom.dcmread(films[0]).file_meta
    assert one.SOPClassUID == one.file_meta.MediaStorageSOPClassUID == written.MediaStorageSOPClassUID
    (tmp_path / "clean.dcm").write_bytes(encoded(one))
    np.testing.assert_array_equal(read_xray(tmp_path / "clean.dcm").pixels, read_xray(films[0]).pixels)


def test_a_film_without_any_instance_uid_is_refused(write_film):
    ds = read_one_frame(write_film(PIXELS))
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = ""
    with pytest.raises(InputDataError, match="SOPInstanceUID is missing"):
        deidentify(ds, KEY)


def test_a_file_that_names_no_class_anywhere_is_refused(tmp_path):
    film = write(tmp_path / "film.dicom", "vinbigdata", PIXELS)
    ds = pydicom.dcmread(film)
    del ds.file_meta.MediaStorageSOPClassUID
    ds.save_as(film, enforce_file_format=False)
    with pytest.raises(InputDataError, match="not a projection X-ray image by its SOP class"):
        read_xray(film)
