import csv

import numpy as np
import pytest

from monai_xr.errors import InputDataError
from monai_xr.metrics import delong
from monai_xr.workflows.judging_classifiers.comparing import compare_classifiers, read_predictions


def write(path, scores, truth, order=None):
    columns = [f"{what}:{name}" for name in "ab" for what in ("truth", "probability", "positive")]
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "patient", *columns])
        for i in order if order is not None else range(len(scores)):
            b, p = int(truth[i]), float(scores[i])
            table.writerow([f"{i:03d}.png", f"p{i // 2}", 1 - b, 1 - p, int(p < 0.5), b, p, int(p >= 0.5)])
    return path


def test_table_pairs_films_by_name_and_adjusts_over_all_rows(tmp_path):
    draw = np.random.default_rng(0)
    truth = np.arange(80) % 2
    good, poor = (np.clip(0.5 + g * (truth - 0.5) + 0.2 * draw.normal(size=80), 0, 1) for g in (0.6, 0.1))
    reference = write(tmp_path / "reference.csv", poor, truth)
    arms = {
        "good": write(tmp_path / "good.csv", good, truth, order=draw.permutation(80)),
        "same": write(tmp_path / "same.csv", poor, truth),
    }
    rows = compare_classifiers(reference, arms)
    assert [(row.arm, row.measure) for row in rows] == [
        ("good", "auroc"), ("good", "balanced_accuracy"), ("same", "auroc"), ("same", "balanced_accuracy"),
    ]  # fmt: skip
    exact = delong(truth, good, poor, patients=[f"p{i // 2}" for i in range(80)])
    assert rows[0].difference.value == pytest.approx(exact.value, abs=1e-5)
    assert rows[0].difference.p == pytest.approx(exact.p, rel=1e-3)
    first, second = sorted(rows[:2], key=lambda row: row.difference.p)
    assert first.adjusted_p == pytest.approx(4 * first.difference.p)
    assert second.adjusted_p == pytest.approx(3 * second.difference.p)
    assert (rows[2].difference.value, rows[2].adjusted_p) == (0, 1)


def test_file_that_holds_no_predictions(tmp_path):
    (tmp_path / "x.csv").write_text("file\n1.png\n")
    with pytest.raises(InputDataError, match=r"no predictions of an evaluation : x.csv : give a predictions.csv"):
        read_predictions(tmp_path / "x.csv")
