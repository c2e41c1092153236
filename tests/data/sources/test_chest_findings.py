"""The vocabulary of findings: codes, what follows from what, unknown apart from absent."""

import pytest
from pydicom.sr.codedict import codes

from monai_xr.data.sources.chest_findings import FINDINGS, FilmFindings, conclude, one_label
from monai_xr.errors import InputDataError


@pytest.mark.parametrize(
    ("name", "keyword"),
    [("pneumothorax", "Pneumothorax"), ("effusion", "PleuralEffusion"), ("edema", "PulmonaryEdema")],
)
def test_codes_are_those_of_dicom_where_it_has_them(name: str, keyword: str) -> None:
    assert FINDINGS[name].snomed == getattr(codes.SCT, keyword).value


def test_codes_are_digits_with_a_right_check_digit_and_differ() -> None:
    given = [finding.snomed for finding in FINDINGS.values() if finding.snomed]
    assert len(set(given)) == len(given) >= 15
    assert all(_verhoeff(code) == 0 for code in given)


def _verhoeff(number: str) -> int:
    """Check digit of SNOMED CT identifiers (Verhoeff, dihedral group of order 10); 0 where it is right."""

    def times(one: int, other: int) -> int:
        rotated = (one + other) % 5 if one < 5 else (one - other) % 5
        return rotated + 5 * ((one >= 5) != (other >= 5))

    step = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit)
        for _ in range(place % 8):
            value = step[value]
        total = times(total, value)
    return total


def test_check_digit_of_a_known_code_and_of_a_wrong_one() -> None:
    assert _verhoeff("60046008") == 0
    assert _verhoeff("60046009") != 0


def test_the_narrower_implies_the_wider() -> None:
    assert conclude(["viral_pneumonia"]) == FilmFindings(("pneumonia", "viral_pneumonia"), ())


def test_absence_of_the_wider_implies_that_of_the_narrower() -> None:
    found = conclude([], ["pneumonia"])
    assert found.absent == ("bacterial_pneumonia", "fungal_pneumonia", "pneumonia", "viral_pneumonia")


def test_unknown_is_neither_present_nor_absent() -> None:
    found = conclude(["cardiomegaly"], ["effusion"])
    assert "nodule" not in found.present + found.absent


def test_present_and_absent_contradict() -> None:
    with pytest.raises(InputDataError, match="pneumonia is both present and absent"):
        conclude(["viral_pneumonia"], ["pneumonia"])


def test_word_that_is_no_finding() -> None:
    with pytest.raises(InputDataError, match="unknown finding 'hiccups'"):
        conclude(["hiccups"])


@pytest.mark.parametrize(
    ("present", "absent", "label"),
    [
        (["consolidation"], [], "consolidation"),
        (["consolidation", "effusion"], [], "several findings"),
        ([], ["consolidation", "effusion"], "no finding"),
        ([], ["effusion"], ""),
    ],
)
def test_one_label(present: list[str], absent: list[str], label: str) -> None:
    assert one_label(conclude(present, absent), ["consolidation", "effusion"]) == label


def test_every_wider_finding_is_one() -> None:
    assert all(finding.is_a in FINDINGS for finding in FINDINGS.values() if finding.is_a)
