"""The Orthanc of the tests keeps what it is sent and lets only known peers in."""

import subprocess
from pathlib import Path

from orthanc_server import OrthancServer, free_port
from pydicom import dcmread


def dcmtk(tool: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [f"/usr/bin/{tool}", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60)


def test_a_known_peer_stores_and_an_unknown_one_does_not(orthanc: OrthancServer, phantoms: list[Path]) -> None:
    orthanc.knows("DCMTK", free_port())
    to = ("-aec", orthanc.ae_title, "127.0.0.1", orthanc.port)
    assert dcmtk("dcmsend", "-aet", "DCMTK", *to, phantoms[0]).returncode == 0
    assert dcmtk("echoscu", "-aet", "STRANGER", *to).returncode == 0
    assert dcmtk("dcmsend", "-aet", "STRANGER", *to, phantoms[1]).returncode != 0
    assert orthanc.sop_uids() == {str(dcmread(phantoms[0]).SOPInstanceUID)}


def test_it_keeps_studies_and_peers_over_a_kill(orthanc: OrthancServer, phantoms: list[Path]) -> None:
    orthanc.knows("DCMTK", 1)
    orthanc.put(phantoms)
    before = orthanc.sop_uids()
    orthanc.kill()
    orthanc.start()
    assert len(before) == len(phantoms)
    assert orthanc.sop_uids() == before
    assert orthanc.rest("GET", "/modalities") == ["dcmtk"]
