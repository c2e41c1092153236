"""One film in two encodings is one film; what differs in one value or one pixel is another."""

import json

import numpy as np
import pytest
from canary import film
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from monai_xr.dicom.sandbox.same_film import is_same_film
from monai_xr.pacs.site import Store
from monai_xr.pacs.storing import Known, ObjectStore, Refused, Stored

PIXELS = np.arange(48 * 48, dtype="<u2").reshape(48, 48)


def written(path, syntax=ExplicitVRLittleEndian, *, undefined=False, **tags):
    inner = Dataset()
    inner.CodeValue, inner.CodeMeaning = "51185008", "Chest"
    ds = film(syntax, Rows=48, Columns=48, **tags)
    ds.AnatomicRegionSequence = Sequence([inner])
    ds["AnatomicRegionSequence"].is_undefined_length = inner.is_undefined_length_sequence_item = undefined
    ds.AccessionNumber = ds.AcquisitionTime = ""  # of type 2: there without a value
    ds.InstanceNumber = ds.SmallestImagePixelValue = None
    private = ds.private_block(0x0029, "A VENDOR", create=True)
    private.add_new(0x10, "LO", "a value")
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    ds.add_new(0x7FE00010, "OW", PIXELS.astype(f"{order}u2").tobytes())
    if syntax == RLELossless:
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.compress(RLELossless, generate_instance_uid=False)
    ds.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(
    ("syntax", "undefined"),
    [
        (ExplicitVRLittleEndian, True),  # other lengths of the sequence alone
        (ImplicitVRLittleEndian, False),
        (ExplicitVRBigEndian, False),
        (RLELossless, False),
    ],
)
def test_one_film_in_two_encodings_is_one(tmp_path, syntax, undefined):
    first, second = written(tmp_path / "1.dcm"), written(tmp_path / "2.dcm", syntax, undefined=undefined)
    assert first.read_bytes() != second.read_bytes()
    assert is_same_film(first, second)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, RLELossless])
def test_another_value_or_pixel_is_another_film(tmp_path, syntax, monkeypatch):
    first = written(tmp_path / "1.dcm")
    assert not is_same_film(first, written(tmp_path / "2.dcm", syntax, ViewPosition="AP"))
    PIXELS[20, 20] += 1
    try:
        assert not is_same_film(first, written(tmp_path / "3.dcm", syntax))
    finally:
        PIXELS[20, 20] -= 1


def test_what_is_no_film_is_not_the_same(tmp_path):
    (tmp_path / "none").write_bytes(b"\0" * 999)
    assert not is_same_film(written(tmp_path / "1.dcm"), tmp_path / "none")
    assert not is_same_film(tmp_path / "1.dcm", tmp_path / "absent")


def test_the_store_knows_a_film_in_another_encoding_and_keeps_the_first(tmp_path):
    store = ObjectStore(Store(folder=tmp_path / "store", min_free_gb=0))
    answers = []
    for number, (syntax, tags) in enumerate(
        [(ExplicitVRLittleEndian, {}), (ImplicitVRLittleEndian, {}), (ImplicitVRLittleEndian, {"ViewPosition": "AP"})]
    ):
        data = written(tmp_path / f"{number}.dcm", syntax, **tags).read_bytes()
        names = {"sop_class": "1.2.840.10008.5.1.4.1.1.1", "sop_uid": "1.9.190.3", "sender": "CT1"}
        spooled = store.spool(transfer_syntax=syntax, **names)
        spooled.write(data[144 + int.from_bytes(data[140:144], "little") :])
        answers.append(store.add(spooled))
    assert answers[:2] == [Stored(), Known()]
    assert isinstance(answers[2], Refused)
    assert [json.loads(path.read_text())["code"] for path in store.quarantine.glob("*.json")] == ["C111"]
    (kept,) = store.index.objects("1.9.190.1")
    assert kept.transfer_syntax == ExplicitVRLittleEndian
    store.close()
