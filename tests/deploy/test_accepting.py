"""An app is measured on a site's own films as sklearn measures it, by group, and the record is bound to all of it."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from deploy.conftest import use_core
from deploy.known import DECISION
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from monai_xr.cli import app as commands
from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.data.records import Record
from monai_xr.deploy import accepting
from monai_xr.deploy.accepting import accept_app
from monai_xr.deploy.core import Instance, load_model
from monai_xr.deploy.core.model import sealed
from monai_xr.deploy.film_groups import groups_of_films
from monai_xr.dicom import read_header, read_xray
from monai_xr.errors import ConfigurationError, InputDataError, ModelError

PATIENTS = 50


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms of two findings; every third film is of another maker."""
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
def told(films: Path, small_app: Path) -> dict[str, float]:
    """The probability of each film, by the model itself."""
    model = load_model(small_app / "models")
    found = {}
    for path in sorted(films.rglob("*.dcm")):
        judged = model.judge(Instance(path, read_header(path)), read_xray(path, admit=("phantom",)))
        found[str(path.relative_to(films))] = judged.findings[1].probability
    return found


def labels_of(films: Path) -> dict[str, str]:
    rows = [line.split(",") for line in (films / "labels.csv").read_text().splitlines()[1:]]
    return {row[0]: row[1] for row in rows}


@pytest.fixture(scope="module")
def accepted(small_app: Path, films: Path, quick_reports: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of one acceptance."""
    output = tmp_path_factory.mktemp("accepted") / "out"
    with pytest.MonkeyPatch.context() as patch:
        use_core(patch)
        patch.setattr(accepting, "_AT_ONCE", 20)
        accept_app(small_app, films, output, accept_phantoms=True)
    return output


def measures_of(output: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((output / "measures.json").read_text())
    return content


def test_measures_are_those_of_sklearn_and_by_hand(films: Path, told: dict[str, float], accepted: Path) -> None:
    found = measures_of(accepted)
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


def test_groups_are_of_header_and_table(films: Path, accepted: Path) -> None:
    groups = measures_of(accepted)["groups"]
    sexes = [str(pydicom.dcmread(path).PatientSex) for path in films.rglob("*.dcm")]
    assert f"sex F, {sexes.count('F')} films" in groups
    assert f"manufacturer monai_xr, {2 * len(sexes) // 3} films" in groups
    assert not any(name.startswith("view") for name in groups)  # all films are of one view
    assert not any("ANOTHER" in name for name in groups)  # of fewer than 20 films


def test_the_table_comes_before_the_header(tmp_path: Path) -> None:
    header = pydicom.Dataset()
    header.PatientSex, header.PatientAge, header.Manufacturer, header.ViewPosition = "F", "017Y", "M", "AP"
    header.SOPInstanceUID = "1.2.3"
    records = [Record(tmp_path / "a.dcm", "NORMAL", "", "", ""), Record(tmp_path / "b.dcm", "NORMAL", "", "", "")]
    (tmp_path / "labels.csv").write_text("path,label,sex,age\na.dcm,NORMAL,M,64.5\nb.dcm,NORMAL,,\n")
    other = pydicom.Dataset()
    other.update(header)
    other.SOPInstanceUID = "1.2.4"
    assert groups_of_films(tmp_path, records, [header, other]) == {
        "age": ("40 to 64", "0 to 17"),
        "sex": ("M", "F"),
        "view": ("AP", "AP"),
        "manufacturer": ("M", "M"),
    }


def test_the_least_size_is_that_of_the_binomial(accepted: Path) -> None:
    # 1.96^2 * 0.9 * 0.1 / 0.05^2 = 138.3
    told = "25 patients with CONSOLIDATION; an interval of +-0.05 needs 139: too few: collect 114 more."
    assert told in measures_of(accepted)["notes"]


def test_the_record_is_bound_to_app_films_labels_and_results(
    small_app: Path, films: Path, accepted: Path, tmp_path: Path
) -> None:
    site, output = tmp_path / "site", tmp_path / "out"
    shutil.copytree(films, site)
    shutil.copytree(accepted, output)

    def check() -> str:
        given = ["accept", str(small_app), str(site), "--output", str(output), "--check"]
        return str(CliRunner().invoke(commands, given).exception or "")

    assert check() == ""
    page = (output / "report.html").read_text()
    (output / "report.html").write_text(page.replace("AUROC 0", "AUROC 1"))
    assert "changed since: page" in check()
    (output / "report.html").write_text(page)
    labels = (site / "labels.csv").read_text()
    (site / "labels.csv").write_text(labels.replace("NORMAL", "CONSOLIDATION", 1))
    assert "changed since: films_and_labels" in check()
    (site / "labels.csv").write_text(labels)
    record = json.loads((output / "acceptance.json").read_text())
    (output / "acceptance.json").write_text(json.dumps({**record, "signature": "0" * 24}))
    assert "not signed with the key of this site" in check()


def test_nothing_that_is_written_names_a_patient(accepted: Path) -> None:
    written = {path.name: path.read_text() for path in accepted.iterdir()}
    assert set(written) == {"acceptance.json", "measures.json", "report.html"}
    assert not [name for name, content in written.items() if "SYNTH-" in content]
    assert "Acceptance of an app" in written["report.html"]


@pytest.mark.usefixtures("in_process", "quick_reports")
def test_what_cannot_be_accepted_is_refused(small_app: Path, films: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores"
    shutil.copytree(small_app, scores)
    settings = scores / "models" / "brightness" / "model.json"
    edited = {**json.loads(settings.read_text()), "decision": DECISION | {"classes": ["A"]}}
    settings.write_text(json.dumps(sealed(edited)))
    with pytest.raises(ModelError, match="an app that tells no classes"):
        accept_app(scores, films, tmp_path / "out")
    few = tmp_path / "few"
    for patient in sorted(films.iterdir())[:22]:
        if patient.is_dir():
            shutil.copytree(patient, few / patient.name)
    shutil.copyfile(films / "labels.csv", few / "labels.csv")
    with pytest.raises(InputDataError, match=r"0 of \d+ films were judged"):
        accept_app(small_app, few, tmp_path / "out")  # phantoms are not let in
    with pytest.raises(ConfigurationError, match="no app with its models"):
        accept_app(films, films, tmp_path / "out")
    (few / "labels.csv").write_text((films / "labels.csv").read_text().replace("NORMAL", "EFFUSION"))
    with pytest.raises(InputDataError, match="label 'effusion' that the app does not know"):
        accept_app(small_app, few, tmp_path / "out", accept_phantoms=True)
    assert not (tmp_path / "out").exists()
