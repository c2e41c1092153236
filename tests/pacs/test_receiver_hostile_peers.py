"""Peers that claim, drip, stay silent or talk nonsense cost little, and a legal sender beside them is served."""

import os
import socket
import struct
import subprocess
import time
from contextlib import ExitStack

import numpy as np
import pytest
from pacs.receiving import ECHOSCU, wait_for, write_films
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import build_context

FUZZED = int(os.environ.get("MONAI_XR_INTAKE_FUZZ", "200"))
GROWTH_MB = 64


def connect(receiver):
    return socket.create_connection(("127.0.0.1", receiver.port), 20)


def association_request():
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "SENDER", "MONAI_XR"
    context = build_context("1.2.840.10008.5.1.4.1.1.1", ExplicitVRLittleEndian)
    context.context_id = 1
    primitive.presentation_context_definition_list = [context]
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received, implementation.implementation_class_uid = 16384, "1.2.3"
    primitive.user_information = [length, implementation]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return pdu.encode()


def receive_pdu(peer):
    header = peer.recv(6, socket.MSG_WAITALL)
    return header + peer.recv(struct.unpack(">L", header[2:6])[0], socket.MSG_WAITALL) if len(header) == 6 else b""


def established(receiver):
    peer = connect(receiver)
    peer.sendall(association_request())
    assert receive_pdu(peer)[:1] == b"\2"  # A-ASSOCIATE-AC
    return peer


def data_pdu(control, data, context=1):
    return struct.pack(">BBLLBB", 4, 0, len(data) + 6, len(data) + 2, context, control) + data


def store_command(uid="1.9.190.3"):
    """C-STORE-RQ in implicit VR little endian."""

    def element(number, value):
        return struct.pack("<HHL", 0, number, len(value)) + value

    def padded(text):
        return text.encode() + b"\0" * (len(text) % 2)

    body = element(0x0002, padded("1.2.840.10008.5.1.4.1.1.1")) + element(0x0100, b"\1\0") + element(0x0110, b"\1\0")
    body += element(0x0700, b"\0\0") + element(0x0800, b"\1\0") + element(0x1000, padded(uid))
    return element(0x0000, struct.pack("<L", len(body))) + body


def served(receiver):
    """Whether an echo is answered, and how long it takes."""
    command = [ECHOSCU, "-aet", "SENDER", "-aec", "MONAI_XR", "127.0.0.1", str(receiver.port)]
    begin = time.monotonic()
    return subprocess.run(command, capture_output=True).returncode == 0, time.monotonic() - begin


def cut_off(peer, piece, times, *, pause_s=0.0):
    """Send again and again; whether the connection ends before all is sent."""
    try:
        for _ in range(times):
            peer.sendall(piece)
            time.sleep(pause_s)
    except OSError:
        return True
    return False


def closed(peer):
    try:
        while peer.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


def test_a_request_that_claims_two_gigabytes_is_cut_at_once(receiver):
    before = receiver.memory_mb()
    with connect(receiver) as peer:
        peer.sendall(struct.pack(">BBL", 1, 0, 2**31 - 1))
        assert closed(peer)
    assert receiver.memory_mb() - before < GROWTH_MB


def test_data_that_claim_two_gigabytes_are_cut_at_once(receiver):
    before = receiver.memory_mb()
    with established(receiver) as peer:
        peer.sendall(struct.pack(">BBL", 4, 0, 2**31 - 1))
        assert closed(peer)
    assert receiver.memory_mb() - before < GROWTH_MB
    assert served(receiver)[0]


def test_an_endless_object_is_aborted_at_the_limit_and_leaves_nothing(stopped):
    stopped.site["store"]["max_object_mb"] = 8
    stopped.start()
    before = stopped.memory_mb()
    with established(stopped) as peer:
        peer.sendall(data_pdu(3, store_command()))
        assert cut_off(peer, data_pdu(0, b"\0" * 100_000), 5000)
    assert stopped.memory_mb() - before < GROWTH_MB
    wait_for(lambda: not list(stopped.store.glob("spool/*/*.part")))
    wait_for(lambda: stopped.counted("association", "a message that is too long") == 1)


def test_an_endless_command_is_aborted(stopped):
    stopped.site["store"]["max_object_mb"] = 1
    stopped.start()
    with established(stopped) as peer:
        assert cut_off(peer, data_pdu(1, b"\0" * 10_000), 5000)


def test_a_request_that_drips_is_cut_and_a_legal_sender_served_meanwhile(stopped):
    stopped.site["receiver"]["handshake_s"] = 1
    stopped.start()
    with connect(stopped) as peer:
        peer.sendall(association_request()[:10])
        assert served(stopped)[0]
        assert cut_off(peer, b"\0", 200, pause_s=0.1)
    assert served(stopped)[0]


def test_an_object_that_drips_is_aborted_after_its_time(stopped):
    stopped.site["receiver"] |= {"object_s": 1}
    stopped.start()
    with established(stopped) as peer:
        peer.sendall(data_pdu(3, store_command()))
        assert cut_off(peer, data_pdu(0, b"\0\0"), 200, pause_s=0.05)
    wait_for(lambda: stopped.counted("association", "a message that comes too slowly") == 1)
    wait_for(lambda: not list(stopped.store.glob("spool/*/*.part")))


def test_a_hundred_half_open_connections_leave_room_for_a_legal_sender(receiver, tmp_path):
    before = receiver.memory_mb()
    with ExitStack() as stack:
        for number in range(100):
            peer = stack.enter_context(connect(receiver))
            if number % 2:
                peer.sendall(association_request()[:20])
        assert served(receiver)[0]
        assert receiver.send(*write_films(tmp_path / "films", 2)).returncode == 0
        assert receiver.memory_mb() - before < GROWTH_MB
    assert receiver.counted("connection", "half open too long") >= 36


def test_more_associations_than_allowed_are_rejected_and_counted(stopped):
    stopped.site["receiver"]["associations_per_peer"] = 3
    stopped.start()
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(established(stopped))
        with connect(stopped) as peer:
            peer.sendall(association_request())
            assert receive_pdu(peer)[:1] == b"\3"  # A-ASSOCIATE-RJ
    wait_for(lambda: stopped.counted("association", "rejected: too many associations of this peer") == 1)
    wait_for(lambda: served(stopped)[0])


def test_an_aborted_object_leaves_nothing_and_what_was_answered_stays(receiver, tmp_path):
    receiver.send(*write_films(tmp_path / "films", 1))
    with established(receiver) as peer:
        peer.sendall(data_pdu(3, store_command()) + data_pdu(0, b"\0" * 1000))
        wait_for(lambda: list(receiver.store.glob("spool/*/*.part")))
    wait_for(lambda: not list(receiver.store.glob("spool/*/*.part")))
    assert receiver.status()["objects"] == 1


@pytest.mark.parametrize("uid", ["../../../x", "/etc/cron.d/x", "1..2", "1" * 65, "", "1.2\0/x"])
def test_an_object_whose_uid_is_a_path_is_refused(receiver, uid):
    before = {path for path in receiver.folder.parent.rglob("*") if receiver.store not in path.parents}
    with established(receiver) as peer:
        peer.sendall(data_pdu(3, store_command(uid)) + data_pdu(2, b"\0" * 100))
        answer = receive_pdu(peer)
        assert answer[:1] in (b"\4", b"\7", b"")
        if answer[:1] == b"\4":  # Status is the last element but one of a failure with a comment
            assert struct.pack("<HHLH", 0, 0x0900, 2, 0xA900) in answer
    assert {path for path in receiver.folder.parent.rglob("*") if receiver.store not in path.parents} == before
    assert not list((receiver.store / "objects").rglob("*.dcm"))
    assert served(receiver)[0]


def test_fuzzed_pdus_stop_nothing(receiver):
    """Seeded; `make prove` tries 10,000."""
    chance = np.random.default_rng(1)
    legal = [association_request(), data_pdu(3, store_command()), data_pdu(2, b"\0" * 64), b"\5\0\0\0\0\4\0\0\0\0"]
    before = receiver.memory_mb()
    for number in range(FUZZED):
        conversation = bytearray(b"".join(legal[: chance.integers(1, 5)]))
        for _ in range(chance.integers(1, 9)):
            conversation[chance.integers(len(conversation))] = chance.integers(256)
        if chance.random() < 0.3:
            del conversation[chance.integers(len(conversation)) :]
        with connect(receiver) as peer:
            try:
                peer.sendall(conversation)
                peer.shutdown(socket.SHUT_WR)
                closed(peer)
            except OSError:
                pass
        if number % 1000 == 999:
            assert served(receiver)[0]
    assert receiver.process.poll() is None
    assert served(receiver)[0]
    assert receiver.memory_mb() - before < GROWTH_MB
    wait_for(lambda: len(os.listdir(f"/proc/{receiver.process.pid}/task")) < 20)
    assert not list(receiver.store.glob("spool/*/*.part"))
    print(f"{FUZZED} fuzzed conversations, memory grew by {receiver.memory_mb() - before:.1f} MB")  # noqa: T201


def test_services_that_are_not_offered_end_the_association(receiver):
    entity = AE(ae_title="SENDER")
    entity.add_requested_context("1.2.840.10008.5.1.4.1.2.2.1")
    association = entity.associate("127.0.0.1", receiver.port, ae_title="MONAI_XR")
    assert not association.is_established  # no context was accepted: pynetdicom aborts
    assert served(receiver)[0]


def test_a_cancel_is_no_request_and_a_message_of_two_contexts_none(receiver):
    cancel = struct.pack("<HHLL", 0, 0, 4, 28) + struct.pack("<HHLH", 0, 0x0100, 2, 0x0FFF)
    cancel += struct.pack("<HHLH", 0, 0x0120, 2, 1) + struct.pack("<HHLH", 0, 0x0800, 2, 0x0101)
    with established(receiver) as peer:
        peer.sendall(data_pdu(3, cancel) + data_pdu(3, store_command()) + data_pdu(2, b"\0" * 100))
        assert struct.pack("<HHLH", 0, 0x0900, 2, 0xA900) in receive_pdu(
            peer
        )  # the film is none; the cancel has no answer
        peer.sendall(data_pdu(3, store_command()) + data_pdu(2, b"\0" * 100, context=3))
        assert receive_pdu(peer)[:1] == b"\7"  # A-ABORT
    wait_for(lambda: receiver.counted("association", "a malformed message") == 1)


def test_an_idle_association_is_ended(stopped):
    stopped.site["receiver"]["idle_s"] = 0.5
    stopped.start()
    with established(stopped) as peer:
        assert closed(peer)
