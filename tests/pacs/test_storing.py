"""Every object that is answered is on the disk, once, whole, in the order of the promises."""

import errno
import json
import os
import threading
from pathlib import Path

import pydicom
import pytest
from canary import film
from pacs.receiving import add, encoded_data_set

from monai_xr.pacs import spooling
from monai_xr.pacs.counters import store_facts
from monai_xr.pacs.site import Store
from monai_xr.pacs.storing import Known, ObjectStore, Refused, Stored

UIDS = {"StudyInstanceUID": "1.9.190.1", "SeriesInstanceUID": "1.9.190.2", "SOPInstanceUID": "1.9.190.3"}


@pytest.fixture
def store(tmp_path):
    store = ObjectStore(Store(folder=tmp_path / "store", min_free_gb=0))
    yield store
    store.close()


def test_an_object_is_stored_as_a_file_that_pydicom_reads(store):
    ds = film(ViewPosition="AP")
    assert add(store, ds) == Stored()
    (row,) = store.index.objects("1.9.190.1")
    read = pydicom.dcmread(store.folder / row.path)
    assert read.ViewPosition == "AP"
    assert read.file_meta.MediaStorageSOPInstanceUID == "1.9.190.3"
    assert read.file_meta.TransferSyntaxUID == ds.file_meta.TransferSyntaxUID
    assert read.file_meta.SourceApplicationEntityTitle == "CT1"
    assert (store.folder / row.path).read_bytes()[:128] == b"\0" * 128
    assert (store.folder / row.path).stat().st_mode & 0o777 == 0o600
    assert row.bytes == len(encoded_data_set(ds))


def test_sending_twice_changes_nothing(store):
    answers = [add(store, film()) for _ in range(3)]
    assert answers == [Stored(), Known(), Known()]
    assert len(list(store.objects.rglob("*.dcm"))) == 1
    assert not list(store.spool_folder.iterdir())


def test_many_senders_of_the_same_objects_leave_one_file_each(store):
    answers = []

    def send():
        for number in range(10):
            answers.append(add(store, film(SOPInstanceUID=f"1.9.190.3.{number}")))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(answer).__name__ for answer in answers) == ["Known"] * 30 + ["Stored"] * 10
    assert len(list(store.objects.rglob("*.dcm"))) == 10


def test_other_content_under_a_known_uid_is_set_aside_and_the_first_kept(store):
    add(store, film(ViewPosition="PA"))
    first = [path.read_bytes() for path in store.objects.rglob("*.dcm")]
    other = film(ViewPosition="AP")
    for _ in range(2):
        assert add(store, other) == Refused(0xC111, "SOP Instance UID is known with other content")
    assert [path.read_bytes() for path in store.objects.rglob("*.dcm")] == first
    (aside,) = store.quarantine.glob("*.dcm")
    assert pydicom.dcmread(aside).ViewPosition == "AP"
    reason = json.loads(aside.with_suffix(".json").read_text())
    assert (reason["code"], reason["sender"]) == ("C111", "CT1")
    assert store_facts(store.settings, store.index)["quarantined_objects"] == 1


def test_two_new_objects_of_one_uid_at_once_one_is_kept_and_one_set_aside(store):
    gate = threading.Barrier(2)
    answers = []

    def send(view):
        gate.wait()
        answers.append(add(store, film(ViewPosition=view)))

    threads = [threading.Thread(target=send, args=(view,)) for view in ("PA", "AP")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {type(answer) for answer in answers} == {Stored, Refused}


@pytest.mark.parametrize(
    ("tags", "command", "status"),
    [
        ({"SOPInstanceUID": "1.9.190.4"}, {"sop_uid": "1.9.190.3"}, 0xA900),
        ({}, {"sop_class": "1.2.840.10008.5.1.4.1.1.7"}, 0xA900),
        ({}, {"sop_uid": "../../x"}, 0xA900),
        ({}, {"sop_uid": "/etc/x"}, 0xA900),
        ({}, {"sop_uid": "1..2"}, 0xA900),
        ({}, {"sop_uid": ""}, 0xA900),
        ({}, {"sop_uid": "1." * 32 + "1"}, 0xA900),
        ({"StudyInstanceUID": ""}, {}, 0xC000),
        ({"StudyInstanceUID": "../x"}, {}, 0xC000),
    ],
)
def test_uids_that_do_not_fit_or_are_none_are_refused(store, tags, command, status):
    answer = add(store, film(**tags), **command)
    assert isinstance(answer, Refused)
    assert answer.status == status
    assert not list(store.objects.rglob("*.dcm"))
    assert not [path for path in store.folder.parent.rglob("*") if store.folder not in (path, *path.parents)]


def test_a_deflated_object_is_refused_without_unfolding_it(store):
    spooled = store.spool(
        sop_class="1.2.840.10008.5.1.4.1.1.1", sop_uid="1.2", transfer_syntax="1.2.840.10008.1.2.1.99", sender="X"
    )
    spooled.write(b"x" * 100)
    assert store.add(spooled) == Refused(0xC000, "Deflated transfer syntax")


def test_below_the_watermark_nothing_is_taken_and_above_it_again(store):
    full = Store(folder=store.folder, min_free_gb=1e6)
    store.settings, usual = full, store.settings
    assert add(store, film()) == Refused(0xA700, "less space is free than the watermark wants")
    store.settings = usual
    assert add(store, film()) == Stored()


def test_a_disk_without_any_free_byte_takes_nothing_and_says_so(store, monkeypatch):
    usage = type("Usage", (), {"free": 0})
    monkeypatch.setattr("monai_xr.pacs.storing.shutil.disk_usage", lambda _: usage)
    assert store.settings.min_free_gb == 0
    assert store_facts(store.settings, store.index)["accepting"] == 0
    assert add(store, film()) == Refused(0xA700, "less space is free than the watermark wants")


def test_nobody_else_may_read_the_index_or_its_journal(store):
    add(store, film())
    files = [path for path in store.folder.iterdir() if path.name.startswith("index.db")]
    assert len(files) == 3
    assert {path.stat().st_mode & 0o077 for path in files} == {0}


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_full_disk_is_answered_as_such_and_leaves_nothing(store, monkeypatch, call):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        assert add(store, film()) == Refused(0xA700, "the disk is full")
    assert not list(store.spool_folder.iterdir())
    assert not list(store.objects.rglob("*.dcm"))
    assert store.index.objects("1.9.190.1") == []
    assert add(store, film()) == Stored()


def test_a_failing_index_is_answered_and_its_file_removed(store, monkeypatch):
    monkeypatch.setattr("monai_xr.pacs.storing.add_objects", lambda connection, rows: connection.execute("nonsense"))
    assert isinstance(add(store, film()), Refused)
    assert not list(store.objects.rglob("*.dcm"))
    monkeypatch.undo()
    assert add(store, film()) == Stored()


def test_a_full_quarantine_refuses_and_drops_nothing(store):
    add(store, film(ViewPosition="PA"))
    add(store, film(ViewPosition="AP"))
    store.settings = Store(folder=store.folder, min_free_gb=0, max_quarantine_gb=0)
    assert add(store, film(ViewPosition="LL")) == Refused(0xA700, "the quarantine is full")
    assert store_facts(store.settings, store.index)["quarantined_objects"] == 1
    assert len(list(store.quarantine.iterdir())) == 2  # the film that was kept and its reason: none is told as kept


def test_a_file_that_was_lost_comes_back_when_it_is_sent_again(store):
    add(store, film())
    (path,) = store.objects.rglob("*.dcm")
    path.unlink()
    assert add(store, film()) == Stored()
    assert path.exists()
    assert add(store, film()) == Known()


def test_late_images_make_a_version_that_names_its_predecessor(store):
    add(store, film(SOPInstanceUID="1.9.190.3.1"))
    assert store.index.move("1.9.190.1", 1, "waiting")
    add(store, film(SOPInstanceUID="1.9.190.3.2"))  # in time: the study waits anew
    (study,) = store.index.studies("received")
    assert (study.version, study.predecessor, study.objects) == (1, None, 2)
    assert store.index.move("1.9.190.1", 1, "waiting")
    assert store.index.move("1.9.190.1", 1, "working")
    add(store, film(SOPInstanceUID="1.9.190.3.3"))
    add(store, film(SOPInstanceUID="1.9.190.3.4"))
    first, second = store.index.studies(study_uid="1.9.190.1")
    assert (first.state, first.version, first.objects) == ("working", 1, 2)
    assert (second.state, second.version, second.predecessor, second.objects) == ("received", 2, 1, 4)


def test_a_study_is_taken_up_by_one_process_only(store):
    add(store, film())
    assert store.index.move("1.9.190.1", 1, "waiting")
    assert [store.index.move("1.9.190.1", 1, "working") for _ in range(2)] == [True, False]
    assert not store.index.move("1.9.190.1", 7, "waiting")


@pytest.mark.parametrize("wanted", [{"state": "received"}, {"study_uid": "1.2"}, {"state": "waiting", "due": 1.0}])
def test_no_question_for_studies_reads_a_table_from_end_to_end(store, wanted):
    asked: list[str] = []
    store.index._connection.set_trace_callback(asked.append)
    store.index.studies(**wanted)
    store.index._connection.set_trace_callback(None)
    plan = [row[3] for row in store.index.rows(f"EXPLAIN QUERY PLAN {asked[0]}")]
    assert any(line.startswith("SEARCH s ") for line in plan)
    assert not [line for line in plan if line.startswith("SCAN")]


def test_two_stores_on_one_folder_agree_on_what_is_known(store):
    other = ObjectStore(Store(folder=store.folder, min_free_gb=0))
    assert add(store, film()) == Stored()
    assert add(other, film()) == Known()
    other.close()


def test_data_then_name_then_folder_then_row_are_on_the_disk_before_the_answer(store, monkeypatch):
    """IN3: the order of calls; a killed process alone proves nothing of what a power cut leaves."""
    calls: list[str] = []

    def noted(name, call):
        def wrapped(*arguments, **options):
            result = call(*arguments, **options)
            calls.append(name(*arguments))
            return result

        return wrapped

    def fsynced(handle):
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        return "fsync folder" if path.is_dir() else "fsync data"

    for number in range(100):
        calls.clear()
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", noted(fsynced, os.fsync))
            patch.setattr(os, "replace", noted(lambda *_: "rename", os.replace))
            store.index._connection.set_trace_callback(lambda sql: calls.append(sql) if sql == "COMMIT" else None)
            assert add(store, film(SOPInstanceUID=f"1.9.190.3.{number}")) == Stored()
        first_day = ["fsync folder"] if number == 0 else []
        assert calls == ["fsync data", *first_day, "rename", "fsync folder", "COMMIT"]
    assert store.index.rows("PRAGMA synchronous") == [(2,)]  # FULL
    assert store.index.rows("PRAGMA journal_mode") == [("wal",)]


def test_an_object_written_in_pieces_is_the_same(store, monkeypatch):
    write = os.write
    monkeypatch.setattr(spooling.os, "write", lambda handle, data: write(handle, bytes(data)[:7]))
    assert add(store, film()) == Stored()
    (path,) = store.objects.rglob("*.dcm")
    assert pydicom.dcmread(path).PatientSex == "F"
