"""Fixtures of the PACS tests: a receiver, an Orthanc, a peer with odd habits, phantoms."""

import gc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from odd_peer import HELD, OddPeer
from orthanc_server import orthanc, orthanc_process
from pacs.receiving import receiver, stopped

from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.pacs import peers
from monai_xr.pacs.site import Peer

__all__ = ["orthanc", "orthanc_process", "receiver", "stopped"]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers are asked again after hundredths of the seconds."""
    monkeypatch.setattr(peers.random, "uniform", lambda low, high: 0.01)


@pytest.fixture
def refused_sockets() -> Iterator[None]:
    """Collect the sockets of refused connections, which pynetdicom leaves open, while nobody is warned of them."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def odd() -> Iterator[Callable[..., tuple[OddPeer, Peer]]]:
    """Start a peer with the habits given."""
    started = []

    def start(**habits: object) -> tuple[OddPeer, Peer]:
        odd_peer = OddPeer(**{"held": HELD} | habits)  # type: ignore[arg-type]
        started.append(odd_peer)
        return odd_peer, Peer(ae_title="ODD", host="127.0.0.1", port=odd_peer.start(), timeout_s=5)

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def phantoms(tmp_path: Path) -> list[Path]:
    """DICOM files of four phantom patients, in several transfer syntaxes."""
    write_phantom_studies(tmp_path / "phantoms", patients=4, seed=1, size=64, manifest=False)
    return sorted((tmp_path / "phantoms").rglob("*.dcm"))
