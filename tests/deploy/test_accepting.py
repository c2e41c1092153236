"""An app is measured on a site's own films as sklearn measures it, by group, and the record is bound to all of it."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from monai_xr.cli import app as commands
from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.deploy.accepting import accept_app
from monai_xr.deploy.core import load_model, running
from monai_xr.errors import ConfigurationError, InputDataError

PATIENTS = 60


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms of two findings; every third is of another maker."""
    folder = tmp_path_factory.mktemp("site") / "films"
    findings = ("NORMAL", "CONSOLIDATION")
    write_phantom_studies(folder, patients=PATIENTS, seed=3, size=64, findings=findings, manifest=False)
    for number, path in enumerate(sorted(folder.rglob("*.dcm"))):
        if number % 3 == 0:
            ds = pydicom.dcmread(path)
            ds.Manufacturer = "ANOTHER"
            ds.save_as(path)
    return folder


@pytest.fixture(scope="module")
def told(films: Path, small_app: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """The probability of each film, by the core itself."""
    out = tmp_path_factory.mktemp("told")
    results = running.run_folder(films, load_model(small_app / "models"), out, accept_phantoms=True)
    return {
        str(film.instance.path.relative_to(films)): film.findings[1].probability
        for result in results
        for film in result.films
    }


def labels_of(films: Path) -> dict[str, str]:
    rows = [line.split(",") for line in (films / "labels.csv").read_text().splitlines()[1:]]
    return {row[0]: row[1] for row in rows}


def accepted(app: Path, films: Path, output: Path) -> dict[str, Any]:
    accept_app(app, films, output, accept_phantoms=True)
    content: dict[str, Any] = json.loads((output / "measures.json").read_text())
    return content


@pytest.mark.usefixtures("in_process")
def test_measures_are_those_of_sklearn_and_by_hand(
    small_app: Path, films: Path, told: dict[str, float], tmp_path: Path
) -> None:
    found = accepted(small_app, films, tmp_path / "out")
    labels = labels_of(films)
    truth = np.array([labels[name] == "CONSOLIDATION" for name in told])
    scores = np.array(list(told.values()))
    auroc = found["measures"]["auroc/CONSOLIDATION"]
    assert auroc["value"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-6)
    assert auroc["interval_95"][0] < auroc["value"] < auroc["interval_95"][1]
    hits = float((scores[truth] >= 0.5).mean())
    assert found["measures"]["sensitivity/CONSOLIDATION"]["value"] == pytest.approx(hits)
    threshold = found["thresholds"]["CONSOLIDATION"]
    assert (scores[truth] >= threshold).mean() >= 0.9  # on all films; the table has it from halves
    nine = found["At a sensitivity of 0.9, thresholds of the site's own"]["sensitivity/CONSOLIDATION"]
    assert nine["interval_95"][0] <= 0.9 <= nine["interval_95"][1]


@pytest.mark.usefixtures("in_process")
def test_groups_are_of_header_and_table(small_app: Path, films: Path, tmp_path: Path) -> None:
    groups = accepted(small_app, films, tmp_path / "out")["groups"]
    makers = [str(pydicom.dcmread(path).Manufacturer) for path in films.rglob("*.dcm")]
    assert f"manufacturer ANOTHER, {makers.count('ANOTHER')} films" in groups
    assert {name.split(",")[0] for name in groups} >= {"sex F", "sex M", "age from 65"}
    assert not any(name.startswith("view") for name in groups)  # all films are of one view


@pytest.mark.usefixtures("in_process")
def test_the_least_size_is_that_of_the_binomial(small_app: Path, films: Path, tmp_path: Path) -> None:
    notes = accepted(small_app, films, tmp_path / "out")["notes"]
    # 1.96^2 * 0.9 * 0.1 / 0.05^2 = 138.3
    assert "30 patients with CONSOLIDATION; an interval of +-0.05 needs 139: too few: collect 109 more." in notes


@pytest.mark.usefixtures("in_process")
def test_the_record_is_bound_to_app_films_labels_and_results(small_app: Path, films: Path, tmp_path: Path) -> None:
    site, output = tmp_path / "site", tmp_path / "out"
    shutil.copytree(films, site)
    runner = CliRunner()
    given = ["accept", str(small_app), str(site), "--output", str(output)]
    first = runner.invoke(commands, [*given, "--accept-phantoms"])
    assert first.exception is None, first.exception
    assert runner.invoke(commands, [*given, "--check"]).exception is None
    page = (output / "report.html").read_text()
    (output / "report.html").write_text(page.replace("AUROC 0", "AUROC 1"))
    assert "changed since: page" in str(runner.invoke(commands, [*given, "--check"]).exception)
    (output / "report.html").write_text(page)
    labels = (site / "labels.csv").read_text()
    (site / "labels.csv").write_text(labels.replace("NORMAL", "CONSOLIDATION", 1))
    assert "changed since: films_and_labels" in str(runner.invoke(commands, [*given, "--check"]).exception)
    (site / "labels.csv").write_text(labels)
    record = json.loads((output / "acceptance.json").read_text())
    (output / "acceptance.json").write_text(json.dumps({**record, "signature": "0" * 24}))
    assert "not signed with the key of this site" in str(runner.invoke(commands, [*given, "--check"]).exception)


@pytest.mark.usefixtures("in_process")
def test_nothing_that_is_written_names_a_patient(small_app: Path, films: Path, tmp_path: Path) -> None:
    accepted(small_app, films, tmp_path / "out")
    written = "".join(path.read_text() for path in (tmp_path / "out").iterdir())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "acceptance.json",
        "measures.json",
        "report.html",
    ]
    assert "SYNTH-" not in written
    assert "Acceptance of an app" in written


@pytest.mark.usefixtures("in_process")
def test_what_cannot_be_accepted_is_refused(small_app: Path, films: Path, tmp_path: Path) -> None:
    with pytest.raises(InputDataError, match=r"0 of \d+ films were judged"):
        accept_app(small_app, films, tmp_path / "out")  # phantoms are not let in
    with pytest.raises(ConfigurationError, match="no app with its models"):
        accept_app(films, films, tmp_path / "out")
    strange = tmp_path / "strange"
    write_phantom_studies(strange, patients=40, seed=3, size=64, findings=("NORMAL", "EFFUSION"), manifest=False)
    with pytest.raises(InputDataError, match="label 'effusion' that the app does not know"):
        accept_app(small_app, strange, tmp_path / "out", accept_phantoms=True)
    assert not (tmp_path / "out").exists()
