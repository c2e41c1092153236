"""Finished steps go to another machine whole, and are not done again there."""

import tarfile
from pathlib import Path

import pytest
from counted_steps import KINDS, done_in, numbered

from monai_xr.errors import InputDataError
from monai_xr.workflows.studies.packing import pack_study, unpack_study
from monai_xr.workflows.studies.steps import carry_out, known


def test_steps_that_were_packed_are_known_elsewhere(tmp_path: Path) -> None:
    steps = numbered(tmp_path / "log", range(3))[:3]
    for step in steps:
        folder = carry_out(tmp_path / "here", step, {}, KINDS).folder
        (folder / "work").mkdir()
        (folder / "work" / "weights.bin").write_bytes(b"large")
    assert pack_study(tmp_path / "here", tmp_path / "study.tar") == 3
    assert unpack_study(tmp_path / "study.tar", tmp_path / "there") == 3
    assert unpack_study(tmp_path / "study.tar", tmp_path / "there") == 0
    for step in steps:
        assert carry_out(tmp_path / "there", step, {}, KINDS) == known(tmp_path / "there", [step])[step.key]
    assert done_in(tmp_path / "log") == [0, 1, 2]
    assert not list((tmp_path / "there").rglob("weights.bin"))


def test_a_step_that_changed_on_the_way_is_refused(tmp_path: Path) -> None:
    folder = carry_out(tmp_path / "here", numbered(tmp_path / "log", range(1))[0], {}, KINDS).folder
    (folder / "number.txt").write_text("9")
    pack_study(tmp_path / "here", tmp_path / "study.tar")
    with pytest.raises(InputDataError, match="a step was changed on the way"):
        unpack_study(tmp_path / "study.tar", tmp_path / "there")
    assert not list((tmp_path / "there" / "steps").iterdir())


def test_what_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("x")
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        archive.add(tmp_path / "evil", "../outside")
    with pytest.raises(InputDataError, match="no packed study"):
        unpack_study(tmp_path / "evil.tar", tmp_path / "there" / "study")
    assert not (tmp_path / "there" / "outside").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    entry = tarfile.TarInfo("steps/a")
    entry.type, entry.linkname = kind, "/etc/hostname"
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        archive.addfile(entry)
    with pytest.raises(InputDataError, match="no packed study"):
        unpack_study(tmp_path / "evil.tar", tmp_path / "study")


def test_a_study_without_a_finished_step_is_not_packed(tmp_path: Path) -> None:
    with pytest.raises(InputDataError, match="no finished step"):
        pack_study(tmp_path, tmp_path / "study.tar")
