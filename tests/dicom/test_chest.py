"""One rule of what is a chest film: what each tag says, and what silence means."""

import warnings

import pytest
from pydicom.dataset import Dataset

from monai_xr.dicom.chest import NOT_FRONTAL, chest_doubt, is_frontal, is_other_than_chest
from monai_xr.dicom.header import read_header
from monai_xr.errors import InputDataError

CR, DX, SC = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.7"
RF, MG = "1.2.840.10008.5.1.4.1.1.12.2", "1.2.840.10008.5.1.4.1.1.1.2"


def header(sop_class=CR, modality="CR", region="", **tags):
    ds = Dataset()
    ds.SOPClassUID, ds.Modality = sop_class, modality
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of values that files have and no standard allows
        for keyword, value in tags.items():
            setattr(ds, keyword, value)
    if region:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = region, "SCT", "region"
        ds.AnatomicRegionSequence = [item]
    return ds


@pytest.mark.parametrize(
    "ds",
    [
        header(),
        header(DX, "DX", BodyPartExamined="CHEST", ViewPosition="PA"),
        header(CR, "CR", BodyPartExamined="Thorax"),
        header(CR, "CR", BodyPartExamined="PORT CHEST 1V"),
        header(CR, "CR", BodyPartExamined="TÓRAX", SpecificCharacterSet="ISO_IR 192"),
        header(CR, ""),
        header(CR, "DR"),  # no defined term, but written by real devices
        header(DX, "DX", region="816094009"),  # CID 4009: Chest
        header(DX, "DX", region="51185008"),  # the code that CID 4009 had before
        header(SC, "CR"),
        header(SC, "OT", BodyPartExamined="CHEST"),
        header(CR, "CR", ViewPosition="AP ERECT"),
        header(CR, "CR", ViewPosition="POSTERO_ANTERIOR"),
    ],
)
def test_a_frontal_chest_film_or_one_that_does_not_tell(ds):
    assert chest_doubt(ds, accept_non_chest=False) == ""


@pytest.mark.parametrize(
    ("ds", "tag"),
    [
        (header(RF, "RF", BodyPartExamined="SHOULDER"), "SOP class"),
        (header(MG, "MG", BodyPartExamined="BREAST"), "SOP class"),
        (header(CR, "RF"), "modality"),
        (header(SC, "CT"), "modality"),
        (header(SC, "OT"), "modality"),  # a dose report, a screen
        (header(SC, ""), "modality"),
        (header(SC, "OT", BodyPartExamined="ABDOMEN"), "modality"),
        (header(CR, "CR", BodyPartExamined="ABDOMEN"), "body part"),
        (header(CR, "CR", BodyPartExamined="THORACIC SPINE"), "body part"),
        (header(CR, "", BodyPartExamined="KNEE"), "body part"),
        (header(DX, "DX", region="818981001"), "anatomic region"),  # CID 4009: Abdomen
        (header(DX, "DX", BodyPartExamined="KNEE", region="816094009"), "body part"),
    ],
)
def test_what_is_no_chest_radiograph(ds, tag):
    doubt = f"not a chest radiograph by its {tag}"
    assert chest_doubt(ds) == doubt
    assert is_other_than_chest(doubt)
    with pytest.raises(InputDataError, match=f"{doubt} : .*--accept-non-chest"):
        chest_doubt(ds, accept_non_chest=False)


@pytest.mark.parametrize("view", ["LL", "RL", "LATERAL", "RAO", "LPO"])
def test_another_view_of_the_chest_is_a_doubt_and_no_refusal(view):
    assert chest_doubt(header(ViewPosition=view), accept_non_chest=False) == NOT_FRONTAL
    assert not is_other_than_chest(NOT_FRONTAL)
    assert not is_frontal(view)


def test_the_words_repeat_no_value():
    doubt = chest_doubt(header(BodyPartExamined="CANARY JANE"))
    assert "CANARY" not in doubt.upper()


def test_real_films(real_data):
    for folder in ("chest", "not_chest"):
        for path in sorted((real_data / "dicom" / folder).glob("*.dcm")):
            assert is_other_than_chest(chest_doubt(read_header(path))) == (folder == "not_chest"), path.name
