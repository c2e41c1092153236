import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from known_films import films, table

from monai_xr.errors import InputDataError
from monai_xr.metrics.measures import Measures
from monai_xr.workflows.judging_images.evaluate_sets import evaluate_sets
from monai_xr.workflows.judging_measures import measures_study
from monai_xr.workflows.judging_measures.measures_study import compare_known_sets


def test_one_table_holds_every_measure_for_every_set(tmp_path: Path) -> None:
    page = compare_known_sets(
        films(tmp_path / "films"),
        tmp_path / "measures.md",
        label="A",
        other_label="B",
        cache_dir=tmp_path / "cache",
        image_size=32,
        aiin={"tile_grid_size": [2, 2]},
    ).read_text()
    rows = table(page)
    sets = dict(zip(rows["measure"][1:], range(6), strict=True))
    assert list(sets)[1:4] == ["training films with noise", "the same by AIIN", "films of B"]
    distances = [float(cell.split(" ")[0].replace("\N{MINUS SIGN}", "-")) for cell in rows["kid_random"][1:]]
    near, *far = (distances[sets[name]] for name in ("training films with noise", "films of B", "8-bit noise"))
    assert near < min(far)
    assert rows["repeats_synthetic"][1 + sets["10 films repeated"]].startswith("0.58")  # 14 of 24
    assert rows["verdict"][1 + sets["10 films repeated"]] == "Collapse"
    for name in ("ms_ssim_gap", "precision_random", "coverage_random", "near_training_pixels", "attack_auc_pixels"):
        assert len(rows[name]) == 7
    assert "nan" not in page


def test_films_without_patients_are_refused(tmp_path: Path) -> None:
    folder = films(tmp_path / "films", patients=False)
    with pytest.raises(InputDataError, match="films without patients"):
        compare_known_sets(
            folder, tmp_path / "m.md", label="A", other_label="B", cache_dir=tmp_path / "cache", image_size=32
        )
    assert not (tmp_path / "m.md").exists()


def test_the_patients_of_real_films_are_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, list[str] | None] = {}

    def seen(real: torch.Tensor, images: torch.Tensor, **known: Any) -> Measures:
        asked[f"{float(images.mean()):.6f}"] = known["synthetic_patients"]
        return evaluate_sets(real, images, **known)

    monkeypatch.setattr(measures_study, "evaluate_sets", seen)
    folder = films(tmp_path / "films")
    rows = list(csv.reader((folder / "manifest.csv").read_text().splitlines()))[1:]
    with (folder / "manifest.csv").open("w", newline="") as stream:  # two films a patient
        twice = [
            [name, label, f"{label}{split}{number % 24 // 2}", split]
            for number, (name, label, _, split) in enumerate(rows)
        ]
        csv.writer(stream).writerows([["image", "label", "patient_id", "split"], *twice])
    setting = {"image_size": 32, "aiin": {"tile_grid_size": [2, 2]}}
    compare_known_sets(folder, tmp_path / "m.md", label="A", other_label="B", cache_dir=tmp_path / "cache", **setting)
    known = [len(set(each)) for each in asked.values() if each]
    assert known == [12, 12, 12]  # other films, of the other class, and normalised; a generator's have no patients
