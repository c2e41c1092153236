"""UIDs are found at the top of any data set, whatever is nested before them, and nothing hostile costs more."""

import time

import pytest
from canary import film
from pacs.receiving import encoded_data_set
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless

from monai_xr.dicom.top_uids import is_uid, top_uids

FOUR = {0x00080016: "1.2.840.10008.5.1.4.1.1.1", 0x00080018: "1.9.190.3", 0x0020000D: "1.9.190.1"}
FOUR |= {0x0020000E: "1.9.190.2"}


def nested(depth, *, undefined):
    inner = Dataset()
    inner.StudyInstanceUID = "9.9"  # not that of the film
    for _ in range(depth):
        outer = Dataset()
        outer.ReferencedStudySequence = Sequence([inner, inner])
        outer["ReferencedStudySequence"].is_undefined_length = undefined
        inner.is_undefined_length_sequence_item = undefined
        inner = outer
    return inner.ReferencedStudySequence


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("undefined", [False, True])
def test_uids_are_found_behind_nested_sequences(syntax, undefined):
    ds = film(syntax)
    ds.ReferencedStudySequence = nested(3, undefined=undefined)
    ds["ReferencedStudySequence"].is_undefined_length = undefined
    assert top_uids(encoded_data_set(ds), 0, syntax) == FOUR


def test_uids_are_found_behind_an_unknown_sequence_which_is_implicit():
    """PS3.5 section 6.2.2: a UN of undefined length holds a sequence in implicit VR."""
    unknown = b"\x09\0\x10\0UN\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff"
    unknown += b"\x08\0\x18\0\x04\0\0\x001.2\0" + b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    data = encoded_data_set(film())
    at = data.index(b"\x10\0\x10\0PN")
    assert top_uids(data[:at] + unknown + data[at:], 0, JPEGLSLossless) == FOUR


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x08\0",
        b"\x08\0\x16\0UI",
        b"\x08\0\x16\0OB\0\0",
        b"\xff" * 10_000,
        b"\0" * 5_000_000,
        b"\x08\0\x10\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff" * 200_000,
        b"\xfe\xff\xdd\xe0\0\0\0\0" * 100_000,
        b"\x08\0\x16\0UI\xff\xff1.2",
        b"\x08\0\x16\0OB\0\0\xfe\xff\xff\xff1.2",
    ],
)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_nonsense_has_no_uids_and_takes_a_moment(data, syntax):
    begin = time.process_time()
    assert not {0x0020000D, 0x0020000E} & set(top_uids(data, 0, syntax))
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("1.2.840", True),
        ("1" * 64, True),
        ("1" * 65, False),
        ("", False),
        ("1..2", False),
        ("1.2.", False),
        ("../1", False),
        ("1/2", False),
        ("1.2\n", False),
        ("\u0661.\u0662", False),
    ],
)
def test_what_may_become_the_name_of_a_file(text, valid):
    assert is_uid(text) == valid
