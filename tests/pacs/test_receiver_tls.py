"""With TLS only peers with a valid certificate of our authority get in, and silent ones hold up nobody."""

import datetime
import socket
import subprocess
import time
from contextlib import ExitStack

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pacs.receiving import ECHOSCU, wait_for

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


class Authority:
    """Signs certificates and writes them, with their keys, as PEM files."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.path = folder / f"{name}.pem"
        self.certificate = self._sign(self.name, self.key.public_key(), NOW + DAY, is_authority=True)
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(self, subject, public_key, until, *, is_authority=False):
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public_key)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(NOW - 9 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        return builder.not_valid_after(until).sign(self.key, hashes.SHA256())

    def issue(self, name, until=NOW + DAY):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key.public_key(), until)
        certificate_path, key_path = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
        key_path.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
        key_path.chmod(0o600)
        return key_path, certificate_path


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "hospital")


@pytest.fixture
def receiver(stopped, authority):
    key, certificate = authority.issue("receiver")
    files = {"key": str(key), "certificate": str(certificate), "authorities": str(authority.path)}
    stopped.site["receiver"] |= {"tls": files, "handshake_s": 2}
    assert stopped.start().startswith("listening")
    return stopped


def echo(receiver, authority, key=None, certificate=None):
    tls = ["+tls", str(key), str(certificate)] if key else ["+tla"]
    command = [ECHOSCU, *tls, "+cf", str(authority.path), "-aet", "SENDER", "-aec", "MONAI_XR"]
    return subprocess.run([*command, "127.0.0.1", str(receiver.port)], capture_output=True).returncode == 0


def test_a_certificate_of_our_authority_gets_in(receiver, authority):
    assert echo(receiver, authority, *authority.issue("modality"))


def test_no_certificate_is_refused_and_counted(receiver, authority):
    assert not echo(receiver, authority)
    wait_for(lambda: receiver.counted("connection", "TLS failed") == 1)


def test_an_expired_certificate_is_refused_and_counted(receiver, authority):
    assert not echo(receiver, authority, *authority.issue("old", NOW - DAY))
    wait_for(lambda: receiver.counted("connection", "TLS failed") == 1)


def test_a_certificate_of_another_authority_is_refused(receiver, authority, tmp_path):
    assert not echo(receiver, authority, *Authority(tmp_path, "stranger").issue("stranger_modality"))


def test_without_tls_nobody_gets_in(receiver):
    command = [ECHOSCU, "-aet", "SENDER", "-aec", "MONAI_XR", "127.0.0.1", str(receiver.port)]
    assert subprocess.run(command, capture_output=True).returncode != 0


def test_silent_clients_hold_up_nobody(receiver, authority):
    modality = authority.issue("modality")
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(socket.create_connection(("127.0.0.1", receiver.port)))
        begin = time.monotonic()
        assert echo(receiver, authority, *modality)
        print(f"served beside 20 silent clients in {time.monotonic() - begin:.2f} s")  # noqa: T201


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda tls, key: key.chmod(0o644), "TLS key can be read or written by others : receiver.key : chmod 600 it"),
        (lambda tls, key: tls.update(key="gone"), "no such file : gone"),
        (lambda tls, key: tls.update(certificate=tls["authorities"]), "cannot be used"),
    ],
)
def test_files_of_tls_that_cannot_be_used_are_told(stopped, authority, change, told):
    key, certificate = authority.issue("receiver")
    tls = {"key": str(key), "certificate": str(certificate), "authorities": str(authority.path)}
    change(tls, key)
    stopped.site["receiver"]["tls"] = tls
    assert told in stopped.start()
    assert stopped.code() == 2
