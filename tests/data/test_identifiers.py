"""Ids are hashed once, in one place, with the key of the site."""

import hmac
import json
import os
import stat
from hashlib import sha256
from pathlib import Path

import pytest

from monai_xr.data.identifiers import HashedId, hashed, key_tag
from monai_xr.data.records import Record
from monai_xr.errors import HostError


def test_hash_is_an_hmac_with_the_key_of_the_site() -> None:
    key = bytes.fromhex(Path(os.environ["MONAI_XR_KEY"]).read_text() if hashed("P1") else "")
    parts = [len(part).to_bytes(8, "big") + part for part in (b"id", b"P1")]  # as RFC 2104, over parts with lengths
    assert hashed("P1") == hmac.new(key, b"".join(parts), sha256).hexdigest()[:16]
    assert hashed("P1") != sha256(b"P1").hexdigest()[:16]


def test_hash_of_a_hash_is_the_hash() -> None:
    assert hashed(hashed("P1")) == hashed("P1")
    assert isinstance(hashed("P1"), HashedId)
    assert hashed("") == ""


def test_records_carry_hashes_from_birth() -> None:
    record = Record(Path("1.png"), "sick", "P1", "G1", "")
    assert (record.patient_id, record.group_id) == (hashed("P1"), hashed("G1"))
    assert Record(Path("1.png"), "sick", record.patient_id, "", "").patient_id == record.patient_id


def test_key_is_made_once_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MONAI_XR_KEY")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    first, key = hashed("P1"), tmp_path / "monai_xr" / "site.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert hashed("P1") == first
    monkeypatch.setenv("MONAI_XR_KEY", str(tmp_path / "other.key"))
    assert hashed("P1") != first


def test_key_tag_tells_keys_apart_and_is_no_part_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tag = key_tag()
    assert tag not in Path(os.environ["MONAI_XR_KEY"]).read_text()
    monkeypatch.setenv("MONAI_XR_KEY", str(tmp_path / "other.key"))
    assert key_tag() != tag


def test_key_that_cannot_be_made_is_told_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MONAI_XR_KEY", str(tmp_path / "file" / "site.key"))
    with pytest.raises(HostError, match="name a file in MONAI_XR_KEY"):
        hashed("P1")


def test_hashes_are_plain_text_in_json() -> None:
    assert json.loads(json.dumps({"id": hashed("P1")})) == {"id": str(hashed("P1"))}
