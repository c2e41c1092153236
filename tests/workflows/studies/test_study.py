"""A whole study on a few smooth films: every kind of arm, its report, a second run that does nothing, tuning."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from known_films import films

from monai_xr.data.files.json_lines import read_lines
from monai_xr.errors import InputDataError
from monai_xr.workflows.studies.design import Design, Place, read_design
from monai_xr.workflows.studies.graph import graph_of
from monai_xr.workflows.studies.study import failures_in, mixed_steps, progress_of, report_study, run_study

pytestmark = pytest.mark.slow  # starts workers and trains

STUDY = """
question: Do fakes help?
positive: B
negative: A
features: random
generators:
  gan: {bundle: chest_xray_dcgan, knobs: {width: 8, latent_size: 8}}
arms:
  real only: {role: baseline}
  duplicates: {role: baseline, added: copies, ratio: 2}
  altered: {role: baseline, augment: classical}
  by AIIN: {role: baseline, aiin: {mode: opencv, tile_grid_size: [2, 2], clip_limit: 4}}
  fakes: {role: synthetic, added: gan, ratio: 2}
  fakes, few: {role: synthetic, added: gan, ratio: 0.5}
  fakes, then real: {role: synthetic, added: gan, use: pretrain}
  fakes, diverse: {role: synthetic, added: gan, select: diversity}
  shuffled labels: {role: control, labels: shuffled}
  noise films: {role: control, added: noise}
  further films: {role: ceiling, added: held back}
sizes:
  tiny: {counts: [12], seeds: 2, image_size: 32, gan_steps: 20, batch_size: 8, checkpoints: 2, network: small,
         network_steps: 10, network_batch: 8, pairs: 20}
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Design, Place]:
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.yaml").write_text(STUDY)
    design = read_design(folder / "study.yaml", dataset_dir=str(films(folder / "films")))
    place = Place(folder / "study.yaml", folder / "out")
    run_study(design, place, workers=1, scheduler="", with_test=False)
    return design, place


def test_nothing_of_the_test_is_seen_while_tuning(ran: tuple[Design, Place]) -> None:
    design, place = ran
    assert failures_in(place.folder) == []
    report_study(design, place, with_test=False)
    page = (place.folder / "report.md").read_text()
    assert "On validation alone" in page
    assert ("test", 0, 22) in progress_of(graph_of(design), place.folder)
    assert not (place.folder / "openings.jsonl").exists()


def test_the_report_holds_every_arm_and_the_second_run_does_nothing(ran: tuple[Design, Place]) -> None:
    design, place = ran
    run_study(design, place, workers=1, scheduler="")
    assert all(done == total for _, done, total in progress_of(graph_of(design), place.folder))
    before = {path: path.stat().st_mtime_ns for path in (place.folder / "steps").rglob("*")}
    run_study(design, place, workers=1, scheduler="")
    assert before == {path: path.stat().st_mtime_ns for path in (place.folder / "steps").rglob("*")}
    assert len(read_lines(place.folder / "openings.jsonl")[0]) == 1
    report_study(design, place)
    page, text = ((place.folder / name).read_text() for name in ("report.html", "report.md"))
    for arm in design.arms:
        assert text.count(f"| {arm} |") == (1 if "then real" in arm else 2)  # frozen features are not trained first
    assert "2 of 2 sets of copies are told" in text
    assert "gan, 12 films: of 26, 51 iterations those after" in text
    assert "opened once" in text
    assert "monai-xr study run" in text
    assert "<script" not in page
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)  # opens without network
    assert "image/png" in page
    assert str(place.folder) not in page
    report_study(design, place, publish=True)
    assert "image/png" not in (place.folder / "report.html").read_text()


def test_costs_are_those_of_the_steps(ran: tuple[Design, Place]) -> None:
    _, place = ran
    records = [json.loads(path.read_bytes()) for path in (place.folder / "steps").glob("*/step.json")]
    kinds = {record["kind"] for record in records}
    assert {"films", "draw", "generator", "images", "added_features", "film_features", "judge", "train"} <= kinds
    generators = [record for record in records if record["kind"] == "generator"]
    assert len(generators) == 2  # one a repetition, shared by four arms
    assert all(record["seconds"] > 0 for record in generators)
    for generator in (place.folder / "steps").glob("generator-*"):
        sizes = [path.stat().st_size for path in sorted((generator / "work/run/checkpoints").glob("*.pt"))]
        assert len(sizes) == 2
        assert max(sizes) > 2 * sizes[0]  # of earlier ones the generator alone is kept


def test_a_study_whose_steps_other_code_made_is_marked(ran: tuple[Design, Place]) -> None:
    design, place = ran
    report_study(design, place, with_test=False)
    assert "Mixed" not in (place.folder / "report.md").read_text()
    older, unknown = sorted((place.folder / "steps").glob("generator-*"))
    for folder, made_by in ((older, {"version": "0.0.9", "commit": "abc", "code": "old"}), (unknown, None)):
        record = json.loads((folder / "step.json").read_bytes())
        assert record.pop("made_by").keys() == {"version", "commit", "code"}
        (folder / "step.json").write_text(json.dumps(record | ({"made_by": made_by} if made_by else {})))
    told = [
        "generator: 1 of 2 steps were made by other code, version 0.0.9 at abc",
        "generator: 1 of 2 steps were made by other code, code that is not recorded",
    ]
    assert sorted(mixed_steps(design, graph_of(design), place.folder)) == sorted(told)
    verdict = report_study(design, place, with_test=False)
    assert verdict.notes[-1].startswith("Mixed: other code made some of the steps")
    assert all(f"- {line}" in (place.folder / "report.md").read_text() for line in told)


def test_films_that_cannot_be_used_end_the_study_at_once(ran: tuple[Design, Place], tmp_path: Path) -> None:
    design, place = ran
    same = replace(design, test_set=design.study.dataset_dir)
    with pytest.raises(InputDataError, match="of the second test set are in the study itself"):
        run_study(same, Place(place.file, tmp_path / "out"), workers=1, scheduler="")
    assert not (tmp_path / "out" / "openings.jsonl").exists()
    assert not list((tmp_path / "out" / "steps").glob("train-*"))
