"""The receiver as a process, with dcmtk as the independent client."""

import json
import os
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

import pydicom
import pytest
from pacs.receiving import ECHOSCU, Receiving, wait_for, write_films
from pydicom.uid import generate_uid
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification


def uids_in(folder):
    return sorted(str(pydicom.dcmread(path).SOPInstanceUID) for path in folder.rglob("*.dcm"))


def test_echo_and_store_by_dcmtk(receiver, tmp_path):
    echo = [ECHOSCU, "-aet", "SENDER", "-aec", "MONAI_XR", "127.0.0.1", str(receiver.port)]
    assert subprocess.run(echo).returncode == 0
    films = write_films(tmp_path / "films", 5)
    sent = receiver.send(tmp_path / "films")
    assert sent.returncode == 0
    assert sent.stderr.count("(Success)") == 5
    assert uids_in(receiver.store / "objects") == uids_in(tmp_path / "films")
    for path in films:
        ours = next((receiver.store / "objects").rglob(f"{pydicom.dcmread(path).SOPInstanceUID}.dcm"))
        assert pydicom.dcmread(ours).PixelData == pydicom.dcmread(path).PixelData


def test_the_same_set_three_times_and_from_four_at_once(receiver, tmp_path):
    write_films(tmp_path / "films", 6)
    for _ in range(3):
        assert receiver.send(tmp_path / "films").returncode == 0
    command = ["/usr/bin/storescu", "-R", "-aet", "SENDER", "-aec", "MONAI_XR", "+sd", "127.0.0.1", str(receiver.port)]
    senders = [subprocess.Popen([*command, str(tmp_path / "films")]) for _ in range(4)]
    assert [sender.wait() for sender in senders] == [0] * 4
    assert uids_in(receiver.store / "objects") == uids_in(tmp_path / "films")
    assert receiver.counted("object", "stored") == 6
    assert receiver.counted("object", "known") == 36


@pytest.mark.parametrize(
    ("options", "said", "counted"),
    [
        ({"aet": "STRANGER"}, "Calling AE Title Not Recognized", "rejected: calling AE title"),
        ({"aec": "OTHER"}, "Called AE Title Not Recognized", "rejected: called AE title"),
    ],
)
def test_an_unknown_title_is_rejected_and_counted(receiver, tmp_path, options, said, counted):
    sent = receiver.send(*write_films(tmp_path / "films", 1), **options)
    assert sent.returncode != 0
    assert said in sent.stderr
    wait_for(lambda: receiver.counted("association", counted) == 1)
    assert not list((receiver.store / "objects").rglob("*.dcm"))


def test_an_unknown_address_is_closed_unheard_and_counted(stopped, tmp_path):
    stopped.site["peers"]["sender"]["addresses"] = ["192.0.2.0/24"]
    stopped.start()
    sent = stopped.send(*write_films(tmp_path / "films", 1))
    assert sent.returncode != 0
    wait_for(lambda: stopped.counted("connection", "unknown address") == 1)
    assert '"address": "127.0.0.1"' in "".join(path.read_text() for path in stopped.store.glob("log/*.jsonl"))


def test_a_known_title_from_the_address_of_another_peer_is_rejected(stopped, tmp_path):
    other = {"ae_title": "OTHER", "addresses": ["192.0.2.1"], "may_send": True}
    stopped.site["peers"]["other"] = other
    stopped.start()
    assert stopped.send(*write_films(tmp_path / "films", 1), aet="OTHER").returncode != 0
    wait_for(lambda: stopped.counted("association", "rejected: calling AE title") == 1)


def test_a_peer_that_may_not_send_is_rejected(stopped, tmp_path):
    stopped.site["peers"]["sender"]["may_send"] = False
    stopped.start()
    assert stopped.send(*write_films(tmp_path / "films", 1)).returncode != 0


def test_other_pixels_under_a_known_uid_fail_with_a_comment(receiver, tmp_path):
    (first,) = write_films(tmp_path / "films", 1)
    (second,) = write_films(tmp_path / "others", 1)
    assert receiver.send(first).returncode == 0
    sent = receiver.send(second)
    assert "Unknown Status: 0xc111" in sent.stderr or "CannotUnderstand" in sent.stderr
    assert len(list((receiver.store / "quarantine").glob("*.dcm"))) == 1
    assert receiver.status()["quarantined_objects"] == 1


def test_a_first_start_tells_of_no_leftovers(stopped):
    assert stopped.start() == f"listening on 127.0.0.1 port {stopped.port}\n"


def test_a_second_receiver_on_the_same_folder_is_refused(receiver, tmp_path):
    second = Receiving(receiver.folder)
    assert "another receiver serves this store" in second.start()
    assert second.code() == 4


def test_a_taken_port_is_told(stopped):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", stopped.port))
        taken.listen()
        assert f"cannot listen (Address already in use) : 127.0.0.1 port {stopped.port}" in stopped.start()
        assert stopped.code() == 4


def test_a_damaged_index_is_told_and_made_anew_from_the_files(receiver, tmp_path):
    write_films(tmp_path / "films", 4)
    receiver.send(tmp_path / "films")
    receiver.kill()
    for path in receiver.store.glob("index.db*"):
        path.write_bytes(b"damaged" * 1000)
    assert "serve --rebuild" in receiver.start()
    assert receiver.code() == 4
    assert "4 indexed" in receiver.start("--rebuild")
    status = receiver.status()
    assert (status["objects"], status["studies_quarantined"]) == (4, 1)
    assert receiver.send(tmp_path / "films").returncode == 0
    assert receiver.counted("object", "known") == 4


def test_a_full_disk_is_answered_and_works_again_without_a_restart(stopped, tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    if os.geteuid() or subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", mount]).returncode:
        pytest.skip("no right to mount a small disk")
    try:
        stopped.site["store"]["folder"] = str(mount / "store")
        stopped.start()
        films = write_films(tmp_path / "films", 12, size=1_000_000)
        answers = [stopped.send(film) for film in films]
        taken = [film for film, sent in zip(films, answers, strict=True) if "(Success)" in sent.stderr]
        assert 0 < len(taken) < 12
        refused = [sent for sent in answers if "OutOfResources" in sent.stderr]
        assert len(taken) + len(refused) == 12
        assert uids_in(mount / "store" / "objects") == sorted(str(pydicom.dcmread(p).SOPInstanceUID) for p in taken)
        for path in list((mount / "store" / "objects").rglob("*.dcm"))[:2]:
            path.unlink()
        assert "(Success)" in stopped.send(films[-1]).stderr
        stopped.kill()
    finally:
        subprocess.run(["/bin/umount", "-l", mount], check=True)


def test_it_stops_when_it_is_told_to_and_says_so(receiver):
    assert receiver.end(signal.SIGTERM) == 143


def test_metrics_and_health(receiver, tmp_path):
    receiver.send(*write_films(tmp_path / "films", 1))
    base = f"http://127.0.0.1:{receiver.metrics_port}"
    with urllib.request.urlopen(f"{base}/metrics") as answer:  # noqa: S310
        text = answer.read().decode()
    assert "monai_xr_intake_objects 1\n" in text
    assert 'monai_xr_intake_events_total{event="object",result="stored"} 1\n' in text
    with urllib.request.urlopen(f"{base}/health") as answer:  # noqa: S310
        assert answer.read() == b"accepting\n"
    status = receiver.status()
    assert (status["receiving"], status["objects"], status["studies_received"]) == (1, 1, 1)


def test_nothing_of_a_patient_is_said_outside_the_objects(receiver, tmp_path):
    (film,) = write_films(tmp_path / "films", 1)
    receiver.send(film)
    receiver.send(*write_films(tmp_path / "others", 1))  # other pixels: refused
    with urllib.request.urlopen(f"http://127.0.0.1:{receiver.metrics_port}/metrics") as answer:
        said = [answer.read()]
    said.append(Path(f"/proc/{receiver.process.pid}/cmdline").read_bytes())
    wait_for(lambda: receiver.counted("association", "ended") == 2)
    receiver.end()
    assert "object stored 1" in receiver.said
    said += [receiver.said.encode(), *(path.read_bytes() for path in receiver.store.glob("quarantine/*.json"))]
    logs = [path.read_bytes() for path in (receiver.store / "log").iterdir()]
    said += logs
    for word in (b"ZZPHI", b"CANARY", b"19010203", b"1.9.190"):
        assert not any(word in each for each in said)
    assert json.loads(logs[0].splitlines()[-2])["peer"] == "sender"


@pytest.mark.parametrize("lost", [False, True])
def test_storage_commitment_is_reported_as_the_disk_has_it(stopped, tmp_path, lost):
    reports = []

    def told(event):
        reports.append((event.event_type, event.event_information))
        return 0, None

    entity = AE(ae_title="SENDER")
    entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    listener = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, told)])
    stopped.site["peers"]["sender"] |= {"host": "127.0.0.1", "port": listener.server_address[1]}
    stopped.start()
    films = write_films(tmp_path / "films", 2)
    stopped.send(*films)
    if lost:
        next((stopped.store / "objects").rglob("*.dcm")).unlink()
    try:
        assert ask_for_commitment(stopped.port, films) == 0
        wait_for(lambda: reports)
        kind, report = reports[0]
        assert kind == (2 if lost else 1)
        assert len(report.ReferencedSOPSequence) == 2 - lost
        assert [item.FailureReason for item in report.get("FailedSOPSequence", [])] == [0x0112] * lost
    finally:
        listener.shutdown()


def test_a_peer_that_takes_short_pdus_is_answered_in_several(receiver):
    entity = AE(ae_title="SENDER")
    entity.add_requested_context(Verification)
    association = entity.associate("127.0.0.1", receiver.port, ae_title="MONAI_XR", max_pdu=32)
    assert association.send_c_echo().Status == 0
    association.release()


def test_commitment_for_a_peer_that_cannot_be_told_fails_at_once(receiver, tmp_path):
    films = write_films(tmp_path / "films", 1)
    assert ask_for_commitment(receiver.port, films) == 0x0110


def ask_for_commitment(port, films):
    entity = AE(ae_title="SENDER")
    entity.add_requested_context(StorageCommitmentPushModel)
    association = entity.associate(
        "127.0.0.1", port, ae_title="MONAI_XR", ext_neg=[build_role(StorageCommitmentPushModel, scu_role=True)]
    )
    asked = pydicom.Dataset()
    asked.TransactionUID = generate_uid()
    asked.ReferencedSOPSequence = []
    for path in films:
        item = pydicom.Dataset()
        ds = pydicom.dcmread(path)
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
        asked.ReferencedSOPSequence.append(item)
    status, _ = association.send_n_action(asked, 1, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1")
    association.release()
    return status.Status
