"""From the store to the data set: each study ends in the data set, is ignored, or is in quarantine with a reason."""

import json
import stat
import time
from pathlib import Path

import pydicom
import pytest
from intake_site import WORKER, chest, images, manifest, receive, site_in, studies, work

from monai_xr.data.deidentifying.reviewing import review_folder, waiting_images
from monai_xr.errors import ConfigurationError, NetworkError
from monai_xr.pacs.processing import Processing
from monai_xr.pacs.storing import Refused

FRONTAL = {"name": "frontal", "then": "keep", "view": ["PA", "AP"]}
CHILDREN = {"name": "children", "then": "route", "to": "children", "age_below": 18}


def ends(site):
    return {key: (row.state, row.reason) for key, row in studies(site).items()}


def splits(site):
    return {line.split(",")[2]: line.split(",")[4] for line in manifest(site)}


def test_studies_come_into_the_data_set(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    receive(site, chest(1), chest(2, study=1, patient=1), chest(3), chest(4))
    assert work(site) == []
    assert ends(site) == {
        ("1.2.4.1", 1): ("done", "2 in the data set"),
        ("1.2.4.3", 1): ("done", "1 in the data set"),
        ("1.2.4.4", 1): ("done", "1 in the data set"),
    }
    assert len(images(site)) == len(manifest(site)) == 4
    assert {line.split(",")[4] for line in manifest(site)} == {"train", "val", "test"}
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600


def test_a_late_film_makes_a_new_version_and_nobody_moves(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    receive(site, *(chest(number) for number in range(1, 5)))
    work(site)
    before, first = splits(site), images(site)
    stamps = [path.stat().st_mtime_ns for path in first]
    receive(site, chest(9, study=1, patient=1), *(chest(number) for number in range(20, 30)))
    work(site)
    rows = studies(site)
    assert (rows["1.2.4.1", 1].state, rows["1.2.4.1", 2].state) == ("done", "done")
    assert (rows["1.2.4.1", 2].predecessor, rows["1.2.4.1", 2].objects) == (1, 2)
    assert len(manifest(site)) == 15
    assert {patient: splits(site)[patient] for patient in before} == before
    assert [path.stat().st_mtime_ns for path in first] == stamps


def test_what_was_sent_again_is_not_done_again(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    films = [chest(number) for number in range(1, 4)]
    receive(site, *films)
    work(site)
    before = studies(site)
    receive(site, *films)
    work(site)
    assert studies(site) == before


def test_the_rules_of_the_site_choose_the_data_set(tmp_path: Path) -> None:
    site = site_in(tmp_path, rules=[CHILDREN, FRONTAL])
    grown = [chest(number, PatientAge="040Y") for number in range(1, 4)]
    small = [chest(number, PatientAge="004Y") for number in range(4, 8)]
    receive(site, *grown, *small, chest(8, PatientAge="040Y", ViewPosition="LL"))
    work(site)
    assert (len(manifest(site, "main")), len(manifest(site, "children"))) == (3, 4)
    assert ends(site)["1.2.4.8", 1] == ("ignored", "1 ignored: no rule takes it")


def test_what_is_no_chest_film_or_no_image_is_ignored(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    report = chest(2, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Modality="SR")
    del report.Rows, report.PixelData
    receive(site, chest(1, BodyPartExamined="HAND"), report)
    work(site)
    assert ends(site) == {
        ("1.2.4.1", 1): ("ignored", "1 ignored: not a chest radiograph by its body part"),
        ("1.2.4.2", 1): ("ignored", "1 ignored: no image"),
    }


def test_a_film_that_fails_brings_its_study_to_quarantine_and_the_others_of_it_on(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    cut = chest(2, study=1, patient=1)
    cut.PixelData = cut.PixelData[:-100]
    receive(site, chest(1), cut, chest(3), chest(4))
    work(site)
    assert ends(site)["1.2.4.1", 1] == (
        "quarantined",
        "1 truncated: 1052 of 1152 bytes of Pixel Data; 1 in the data set",
    )
    assert len(manifest(site)) == 3


def test_a_study_of_two_patients_goes_nowhere(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    receive(site, chest(1), chest(2, study=1, patient=2))
    work(site)
    assert ends(site) == {("1.2.4.1", 1): ("quarantined", "1 its films name 2 patients")}
    assert images(site) == []


def test_a_phantom_is_told_what_lets_it_in(tmp_path: Path) -> None:
    site = site_in(tmp_path, deidentification={"accept_phantoms": False})
    receive(site, chest(1, SyntheticData="YES", ManufacturerModelName="monai_xr phantom"), chest(2))
    said: list[str] = []
    work(site, say=said.append)
    way_out = "1 a phantom: deidentification.accept_phantoms in site.yaml lets it in"
    assert ends(site) == {("1.2.4.1", 1): ("quarantined", way_out), ("1.2.4.2", 1): ("done", "1 in the data set")}
    assert sorted(line.partition(": ")[2] for line in said) == ["done, 1 in the data set", f"quarantined, {way_out}"]
    assert not [line for line in said if "1.2.4." in line]


def test_text_in_the_pixels_waits_for_review(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    receive(site, chest(1, BurnedInAnnotation=None), chest(2))
    work(site)
    assert ends(site)["1.2.4.1", 1] == ("done", "1 wait for monai-xr review")
    assert len(images(site)) == 1


def test_what_a_review_lets_out_comes_into_the_data_set(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    receive(site, chest(1, BurnedInAnnotation=None), chest(2), chest(3), chest(4))
    work(site)
    assert len(manifest(site)) == 3
    (waiting,) = waiting_images(tmp_path / "clean/main")
    review_folder(tmp_path / "clean/main", release=[waiting.name], by="Dr Who")
    work(site)
    assert len(manifest(site)) == 4


def test_another_film_with_a_known_uid_changes_nothing(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    receive(site, chest(1))
    other = chest(7, study=1, patient=1, SOPInstanceUID="1.2.3.1.9")
    (answer,) = receive(site, other)
    assert isinstance(answer, Refused)
    work(site)
    receive(site, other)
    work(site)
    (row,) = studies(site).values()
    assert (row.version, row.objects, row.state) == (1, 1, "done")
    (image,) = images(site)
    assert pydicom.dcmread(image).PixelData == chest(1).PixelData


def test_the_count_of_the_archive_is_waited_for(tmp_path: Path) -> None:
    site = site_in(tmp_path, peers={"pacs": {"ae_title": "PACS"}}, queue={"ask": "pacs"})
    receive(site, chest(1))
    answers = iter([NetworkError("no answer"), 2, 1])

    def ask(asked, study_uid):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    told = work(site, ask=ask)
    assert told == ["the count of a study is not known: no answer", "a study waits for 1 of 2 objects"]
    assert ends(site) == {("1.2.4.1", 1): ("done", "1 in the data set")}


def test_a_count_that_never_comes_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    site = site_in(tmp_path, peers={"pacs": {"ae_title": "PACS"}}, queue={"ask": "pacs", "most_wait_s": 0.5})
    receive(site, chest(1))
    work(site, ask=lambda asked, study_uid: 2)
    assert ends(site) == {("1.2.4.1", 1): ("done", "partial, 1 of 2 objects: 1 in the data set")}


def test_the_data_set_is_built_at_the_end_of_a_burst(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_xr.pacs.study_queue._SOONEST_S", 0.01)
    waits = {"dataset": {"build_every_s": 900}, "queue": {"ask": "pacs"}, "peers": {"pacs": {"ae_title": "PACS"}}}
    site = site_in(tmp_path, **waits)
    counts = {"1.2.4.4": 2}
    processing = Processing(site, ask=lambda _, study_uid: counts.get(study_uid, 1), command=WORKER)
    receive(site, chest(8))
    processing.turn()
    assert {row.state for row in studies(site).values()} == {"done"}  # one patient makes no data set
    receive(site, *(chest(number) for number in range(1, 5)))
    processing.turn()
    assert sorted(row.state for row in studies(site).values()) == ["done", "placed", "placed", "placed", "received"]
    receive(site, chest(9, study=4, patient=4))
    time.sleep(0.05)
    processing.turn()
    processing.close()
    assert {row.state for row in studies(site).values()} == {"done"}
    assert len(manifest(site)) == 6


def test_a_command_is_handed_each_study_without_a_name_of_the_hospital(tmp_path: Path) -> None:
    script = "import sys,os,json; print(json.dumps([sys.argv[1:], [sorted(os.listdir(p)) for p in sys.argv[4:6]]]))"
    command = ["python3", "-c", script, "{study}", "{version}", "{predecessor}", "{objects}", "{images}", "{output}"]
    site = site_in(tmp_path, hand_over={"folder": "handed", "command": command})
    receive(site, *(chest(number) for number in range(1, 4)))
    work(site)
    receive(site, chest(9, study=1, patient=1))
    work(site)
    assert {row.state for row in studies(site).values()} == {"done"}
    by_study = {str(pydicom.dcmread(path).StudyInstanceUID): path for path in images(site)}
    said = {path.parent.name: json.loads(path.read_text()) for path in tmp_path.glob("handed/*/command.log")}
    assert {name.rpartition("-")[0] for name in said} == set(by_study)
    (late,) = (each for name, each in said.items() if name.endswith("-v2"))
    assert late[0][1:3] == ["2", "1"]
    assert late[1] == [["0001.dcm", "0002.dcm"], ["main"]]
    assert not list(tmp_path.glob("handed/*/objects"))
    assert b"1.2.4." not in json.dumps([each[0] for each in said.values()]).encode()


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["false"], "tried 3 times: hand-over: the command ended with exit code 1"),
        (["sleep", "60"], "tried 3 times: hand-over: the command took over 0.2 s"),
        (["no-such-command"], "tried 3 times: hand-over: the command cannot be started (No such file or directory)"),
    ],
)
def test_a_hand_over_that_fails_is_tried_again_and_ends_in_quarantine(
    tmp_path: Path, command: list[str], why: str
) -> None:
    site = site_in(tmp_path, hand_over={"folder": "handed", "command": command, "timeout_s": 0.2})
    receive(site, chest(1))
    work(site)
    assert ends(site) == {("1.2.4.1", 1): ("quarantined", why)}


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    (tmp_path / "secret.key").write_text("00" * 32)
    (tmp_path / "secret.key").chmod(0o640)
    with pytest.raises(ConfigurationError, match=r"can be read or written by others : secret.key : chmod 600 it"):
        Processing(site)


def test_a_second_process_on_one_store_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_xr.pacs.processing._LOCK_WAIT_S", 0.1)
    first = Processing(site_in(tmp_path))
    with pytest.raises(ConfigurationError, match="another process works on this store"):
        Processing(site_in(tmp_path))
    first.close()
    Processing(site_in(tmp_path)).close()
