"""`monai-xr study` on a folder of one's own: what cannot be is refused early, with the way out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_xr.data.images.png import write_png

STUDY = Path(__file__).parents[2] / "configs" / "experiments" / "augmentation.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label in ("Ödem", "Unauffällig"):
        for place in range(3):
            file = tmp_path / "Röntgenbilder" / label / f"{place} ü.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_png(file, np.random.default_rng(place).random((48, 48)).astype(np.float32), {})
    return tmp_path / "Röntgenbilder"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "no images of class 'PNEUMONIA' : --classes : the data has: Unauffällig, Ödem"),
        (["--classes", "Odem,Unauffällig"], "no images of class 'Odem' : --classes : did you mean 'Ödem'?"),
        (["--classes", "Ödem"], "classes Ödem : --classes : two, the rare one first"),
        (["--classes", "Ödem,Unauffällig", "--minority", "Odem"], "of which Odem is rare : --classes : two"),
        (
            ["--classes", "Ödem,Unauffällig"],
            "6 of 6 images without patient_id and group_id : Röntgenbilder : name",
        ),
        (["--dataset-dir", "nowhere"], "data folder does not exist : nowhere : set --dataset-dir to a folder"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_class_that_is_not_there_is_refused(
    monai_xr: Any, folder: Path, command: str, options: list[str], told: str
) -> None:
    code, _, error = monai_xr("study", command, STUDY, "--size", "paper", "--dataset-dir", folder, *options)
    assert code == (3 if "patient_id" in told else 2)
    assert told in error
    assert "loading" not in error
    assert "Traceback" not in error
