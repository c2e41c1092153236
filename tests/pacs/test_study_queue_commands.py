"""`monai-xr intake work`, `explain` and `retry` as an administrator calls them."""

import os
import socket
import subprocess
import sys
import time

import pytest
import yaml
from canary import CANARIES, canary, film, put
from intake_site import chest, receive, site_in, studies, work

from monai_xr.data.deidentifying.deidentified_folder import encoded
from monai_xr.data.files.locks import hold
from monai_xr.errors import ConfigurationError
from monai_xr.pacs.site import read_site

RULES = [
    {"name": "ct", "then": "ignore", "modality": ["CT"]},
    {"name": "children", "then": "route", "to": "children", "age_below": 18},
    {"name": "frontal", "then": "keep", "view": ["PA"]},
    {"name": "rest", "then": "ignore"},
]


@pytest.fixture
def config(tmp_path):
    def write(**sections):
        path = tmp_path / "site.yaml"
        path.write_text(yaml.safe_dump({"store": {"folder": "store"}, **sections}))
        return path

    return write


def told(monai_xr, config, tmp_path, ds, rules):
    path = tmp_path / "film.dcm"
    path.write_bytes(encoded(ds))
    code, out, err = monai_xr("intake", "explain", path, "--config", config(rules=rules))
    assert (code, err) == (0, "")
    return out.splitlines()


def test_explain_tells_what_each_rule_says_and_what_comes_after(monai_xr, config, tmp_path) -> None:
    assert told(monai_xr, config, tmp_path, film(PatientAge="034Y"), RULES) == [
        "ct: does not take it, modality is 'CR', wanted CT",
        "children: does not take it, age is outside 0 to 18",
        "frontal: takes it, keep",
        "rest: is not asked",
        "then goes to the data set main",
    ]
    lateral = told(monai_xr, config, tmp_path, film(ViewPosition="LL"), RULES[2:3])
    assert lateral == ["frontal: does not take it, view is 'LL', wanted PA", "no rule takes it: ignored"]
    hand = told(monai_xr, config, tmp_path, film(BodyPartExamined="HAND"), [])
    assert hand == ["there are no rules: kept", "then stopped by its header: not a chest radiograph by its body part"]


def test_explain_names_no_patient(monai_xr, config, tmp_path) -> None:
    ds = film()
    for keyword in ("Modality", "BodyPartExamined", "ViewPosition", "StudyDescription", "StationName", "PatientAge"):
        put(ds, keyword, canary("LO"), "LO")
    kinds = ("modality", "body_part", "view", "description", "station")
    rules = [{"name": kind, "then": "keep", kind: ["X"]} for kind in kinds]
    lines = told(monai_xr, config, tmp_path, ds, [*rules, {"name": "all", "then": "ignore"}])
    assert lines[0] == "modality: does not take it, modality is hidden, wanted X"
    assert not [word for word in CANARIES if word in "\n".join(lines).encode()]


@pytest.mark.parametrize("command", ["retry", "status"])
def test_a_store_that_is_not_there_yet_is_told(monai_xr, config, tmp_path, command) -> None:
    code, out, error = monai_xr("intake", command, "--config", config())
    assert (code, out) == (2, "")
    assert "there is no store yet : store : start `monai-xr intake serve`" in error
    assert not (tmp_path / "store").exists()


def test_retry_lists_what_is_in_quarantine_and_has_it_done_again(monai_xr, config, tmp_path) -> None:
    site = site_in(tmp_path)
    receive(site, chest(1), chest(2, study=1, patient=2), chest(3))
    work(site)
    path = config()
    code, out, _ = monai_xr("intake", "retry", "--config", path)
    (listed, count) = out.splitlines()
    assert (code, count) == (0, "1 studies in quarantine")
    assert listed.endswith(" version 1: 1 its films name 2 patients")
    assert "1.2.4" not in out
    code, _, err = monai_xr("intake", "retry", "abcdef0", "--config", path)
    assert (code, "none of these studies is called so" in err) == (2, True)
    code, out, _ = monai_xr("intake", "retry", listed[:8], "--config", path)
    assert out == "1 of 1 studies are worked on again\n"
    assert studies(site)["1.2.4.1", 1].state == "waiting"
    work(site)
    assert studies(site)["1.2.4.1", 1].state == "quarantined"


def test_studies_that_a_rule_ignored_can_be_worked_on_again(monai_xr, config, tmp_path) -> None:
    receive(site_in(tmp_path), chest(1))
    work(site_in(tmp_path, rules=RULES[:1]))
    code, out, _ = monai_xr("intake", "retry", "--ignored", "--all", "--config", config())
    assert (code, out) == (0, "1 of 1 studies are worked on again\n")
    work(site_in(tmp_path))
    assert studies(site_in(tmp_path))["1.2.4.1", 1].state == "done"


def test_work_needs_to_know_where_films_go(monai_xr, config) -> None:
    code, _, err = monai_xr("intake", "work", "--config", config())
    assert (code, "nothing says where films go : deidentification, dataset : add both sections" in err) == (2, True)


def test_work_ends_when_nothing_is_left(monai_xr, config, tmp_path) -> None:
    sections = {"deidentification": {"folder": "clean", "key": "secret.key"}, "dataset": {"folder": "data"}}
    code, out, err = monai_xr("intake", "work", "--once", "--config", config(**sections))
    assert (code, out, err) == (0, "", "")


def test_serve_works_on_what_it_received_and_the_work_ends_with_it(config, tmp_path) -> None:
    sections = {
        "queue": {"quiet_s": 0},
        "receiver": {"port": free_port()},
        "deidentification": {"folder": "clean", "key": "secret.key"},
        "dataset": {"folder": "data"},
    }
    path = config(**sections)
    site = read_site(path)
    receive(site, chest(1))
    command = [sys.executable, "-P", "-m", "monai_xr", "intake", "serve", "--config", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: studies(site)["1.2.4.1", 1].state == "done")
    finally:
        process.kill()
        process.wait()
    assert studies(site)["1.2.4.1", 1].reason == "1 wait for monai-xr review"
    wait_until(lambda: not is_locked(site.store.folder / "processing"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_locked(folder) -> bool:
    try:
        os.close(hold(folder, ConfigurationError("busy"))[0])
    except ConfigurationError:
        return True
    return False


def wait_until(is_so) -> None:
    deadline = time.monotonic() + 900
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)
