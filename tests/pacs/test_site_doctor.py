"""The doctor and the first questions: what is right is ok, and what is wrong is named with its way out."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from canary import film
from odd_peer import OddPeer
from orthanc_server import OrthancServer, free_port

from monai_xr.cli import doctor
from monai_xr.cli.doctor import check_site
from monai_xr.pacs.rules import decide
from monai_xr.pacs.site import Peer, Site, read_site

pytestmark = [pytest.mark.filterwarnings("ignore:.*socket.socket"), pytest.mark.usefixtures("refused_sockets")]
Start = Callable[[Path], None]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Start]:
    """Start `intake serve` for a site, and end it by its process id."""
    started: list[subprocess.Popen[str]] = []

    def start(site: Path) -> None:
        command = [sys.executable, "-m", "monai_xr", "intake", "serve", "--receive-only", "--config", str(site)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert started[0].stdout is not None
        assert "listening" in started[0].stdout.readline()

    yield start
    for process in started:
        process.terminate()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


def write_site(orthanc: OrthancServer, folder: Path, **sections: Any) -> Path:
    peer = orthanc.as_peer()
    assert peer.dicomweb is not None
    pacs = {"ae_title": "ORTHANC", "host": "127.0.0.1", "port": peer.port, "timeout_s": 10}
    pacs |= {"addresses": ["127.0.0.1"], "may_send": True}
    pacs["dicomweb"] = {
        "url": peer.dicomweb.url,
        "user": orthanc.user,
        "password_file": str(peer.dicomweb.password_file),
    }
    site = {
        "store": {"folder": "store", "min_free_gb": 0},
        "receiver": {"port": orthanc.move_port},
        "peers": {"pacs": pacs},
        "retrieve": {"peer": "pacs", "method": "c-move"},
        "send": {"peer": "pacs"},
    } | sections
    (folder / "site.yaml").write_text(json.dumps(site))
    return folder / "site.yaml"


def told(site: Site) -> dict[str, tuple[str, str]]:
    lines: dict[str, tuple[str, str]] = {}
    check_site(site, lambda mark, what, found: lines.__setitem__(what, (mark, found)))
    return lines


def test_each_link_that_is_right_is_ok_and_each_wrong_one_tells_its_way_out(
    orthanc: OrthancServer, phantoms: list[Path], serve: Start, tmp_path: Path
) -> None:
    path = write_site(orthanc, tmp_path)
    orthanc.put(phantoms[:1])
    before = told(read_site(path))
    assert before["our port answers"] == (
        "FAIL",
        f"nobody listens (Connection refused) : 127.0.0.1:{orthanc.move_port} : start `monai-xr intake serve`",
    )
    serve(path)
    after = told(read_site(path))
    assert {mark for mark, _ in after.values()} == {"ok"}, after
    assert after["pacs: one study by c-move to us"] == ("ok", "1 films came")
    assert after["pacs: C-ECHO from it"][1].startswith("seen at 20")
    noted = "".join(path.read_text() for path in (tmp_path / "store/log").iterdir())
    assert "opened and closed" in noted  # a look at the port is no trouble
    assert "silent or broken" not in noted
    orthanc.rest("PUT", "/modalities/monai_xr", json={"AET": "MONAI_XR", "Host": "127.0.0.1", "Port": 1})
    unknown = told(read_site(path))["pacs: one study by c-move to us"]
    assert unknown[0] == "FAIL"
    assert "enter our AE title, host and port there as a destination" in unknown[1]


def test_a_peer_that_is_gone_skips_what_needs_it(tmp_path: Path) -> None:
    peer = Peer(ae_title="GONE", host="127.0.0.1", port=free_port())
    settings = {"store": {"folder": str(tmp_path / "s"), "min_free_gb": 0}, "send": {"peer": "gone"}}
    lines = told(Site.model_validate(settings | {"peers": {"gone": peer}}))
    assert lines["gone: port"][1].endswith("start the peer, check its port")
    assert lines["gone: C-ECHO to it"] == lines["gone: takes our results"] == ("skipped", "")


def test_a_store_that_others_may_see_and_a_full_disk_are_named(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir(mode=0o755)
    lines = told(Site.model_validate({"store": {"folder": str(tmp_path / "s"), "min_free_gb": 1e9}}))
    assert lines["store: folder, permissions"] == ("FAIL", "others may look into the store : s : chmod 700 it")
    assert lines["store: free space"][1].endswith("free space: nothing is taken below 1e+09 GB")


def test_a_listener_on_loopback_is_no_use_to_a_peer_elsewhere(
    odd: Callable[..., tuple[OddPeer, Peer]], tmp_path: Path
) -> None:
    _, peer = odd()
    elsewhere = Peer(ae_title="PACS", host="192.0.2.1", port=104)
    settings = {"store": {"folder": str(tmp_path)}, "receiver": {"port": peer.port}, "peers": {"pacs": elsewhere}}
    checks = dict(doctor._local(Site.model_validate(settings)))
    with pytest.raises(Exception, match="pacs is on another machine and cannot reach 127"):
        checks["our port answers"]()


@pytest.mark.parametrize(("skew", "mark"), [(0, "ok"), (-3600, "FAIL")])
def test_a_clock_that_differs_is_named(
    skew: int, mark: str, monkeypatch: pytest.MonkeyPatch, orthanc: OrthancServer, tmp_path: Path
) -> None:
    send = requests.Session.send

    def with_date(*arguments: Any, **options: Any) -> Any:
        answer = send(*arguments, **options)
        answer.headers["Date"] = formatdate(doctor.time.time() + skew, usegmt=True)
        return answer

    monkeypatch.setattr(requests.Session, "send", with_date)
    found = told(read_site(write_site(orthanc, tmp_path)))["pacs: DICOMweb and its clock"]
    assert found[0] == mark
    assert ("its clock differs by 36" in found[1]) == (mark == "FAIL")


def test_a_password_that_is_wrong_for_the_web_skips_no_row_of_plain_dicom(
    odd: Callable[..., tuple[OddPeer, Peer]], tmp_path: Path
) -> None:
    _, peer = odd()
    pacs = {"ae_title": "ODD", "host": "127.0.0.1", "port": peer.port, "timeout_s": 5}
    pacs["dicomweb"] = {"url": f"http://127.0.0.1:{free_port()}/dicom-web"}
    settings = {"store": {"folder": str(tmp_path / "s"), "min_free_gb": 0}, "peers": {"pacs": pacs}}
    retrieve = {"peer": "pacs", "method": "c-get"}
    lines = told(Site.model_validate(settings | {"retrieve": retrieve}))
    assert lines["pacs: DICOMweb and its clock"][0] == "FAIL"
    assert lines["pacs: query"] == ("ok", "a study with films found")
    assert lines["pacs: one study by c-get to us"][0] == "ok"
    lines = told(Site.model_validate(settings | {"retrieve": retrieve | {"method": "wado"}}))
    assert lines["pacs: query"][0] == "ok"
    assert lines["pacs: one study by wado to us"][0] == "skipped"


class TestInit:
    def test_an_answer_that_cannot_be_is_told_why_and_asked_for_again(
        self, monai_xr: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        given = [
            "",
            "A" * 17,
            "OURS",
            "here",
            "",
            "99999",
            "",
            "",
            "PACS",
            "127.0.0.1",
            "x",
            "104",
            "ftp://x",
            "",
            "move",
        ]
        given += ["c-get", "7-8", "", "none", "30", "", ""]
        monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(given) + "\n"))
        code, out, _ = monai_xr("intake", "init")
        assert code == 0
        assert out.count("Our AE title [MONAI_XR]: ") == 2
        for why in (
            "an AE title is 1 to 16 characters",
            "less than or equal to 65535",
            "hours look like",
            "a URL begins",
        ):
            assert why in out
        assert read_site(tmp_path / "site.yaml").receiver.ae_title == "OURS"

    def test_the_first_site_has_rules_and_the_example_beside_it(self, monai_xr: Any, tmp_path: Path) -> None:
        options = ("--peer-ae-title", "PACS", "--peer-host", "127.0.0.1")
        assert monai_xr("intake", "init", "--defaults", *options)[0] == 0
        rules = read_site(tmp_path / "site.yaml").rules
        for tags, data_set in ({}, "main"), ({"ViewPosition": "LL"}, ""), ({"Modality": "CT"}, ""):
            assert decide(film(BodyPartExamined="CHEST", **tags), rules).data_set == data_set
        assert "hospital.example.yaml beside it" in (tmp_path / "site.yaml").read_text()
        assert read_site(tmp_path / "hospital.example.yaml").peers

    def test_answers_as_options_make_a_site(self, monai_xr: Any, tmp_path: Path) -> None:
        options = ("--peer-ae-title", "PACS", "--peer-host", "127.0.0.1", "--hours", "19:00-06:00")
        assert monai_xr("intake", "init", "--defaults", *options)[0] == 0
        site = read_site(tmp_path / "site.yaml")
        assert site.peers["pacs"].ae_title == "PACS"
        assert (site.peers["pacs"].may_send, [str(a) for a in site.peers["pacs"].addresses]) == (True, ["127.0.0.1/32"])
        assert site.retrieve is not None
        assert (site.retrieve.method, site.retrieve.hours) == ("c-move", ("19:00-06:00",))
        assert site.deidentification is not None
        assert not site.deidentification.accept_phantoms
        assert "password" not in (tmp_path / "site.yaml").read_text()

    def test_questions_are_asked_one_by_one(
        self, monai_xr: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        given = ["", "OURS", "", "", "", "PACS", "127.0.0.1", "4242", "", "c-get", "", "30", "", ""]
        monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(given) + "\n"))
        code, out, _ = monai_xr("intake", "init")
        assert code == 0
        assert "Its AE title: " in out
        assert "a destination: AE title OURS, address 127.0.0.1, port 11112." in out
        assert "Our AE title [MONAI_XR]: " in out
        found = yaml.safe_load((tmp_path / "site.yaml").read_text())
        assert found["receiver"]["ae_title"] == "OURS"
        assert found["retrieve"] == {"peer": "pacs", "method": "c-get", "images_per_minute": 30}
        assert "may_send" not in found["peers"]["pacs"]

    def test_a_missing_answer_and_a_bad_one_write_nothing(
        self, monai_xr: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(""))
        code, _, err = monai_xr("intake", "init", "--defaults")
        assert (code, "no answer to 'Its AE title' : --peer-ae-title" in err) == (2, True)
        code, _, err = monai_xr("intake", "init", "--defaults", "--peer-ae-title", "A" * 17, "--peer-host", "127.0.0.1")
        assert code == 2
        assert " : site.yaml peers.pacs.ae_title" in err
        assert list(tmp_path.iterdir()) == []

    def test_a_site_that_is_there_is_kept(self, monai_xr: Any, tmp_path: Path) -> None:
        (tmp_path / "site.yaml").write_text("store: {folder: x}\n")
        options = ("--peer-ae-title", "PACS", "--peer-host", "127.0.0.1")
        code, _, err = monai_xr("intake", "init", "--defaults", *options)
        assert (code, "is there already : site.yaml" in err) == (2, True)
        assert monai_xr("intake", "init", "--defaults", "--overwrite", *options)[0] == 0
