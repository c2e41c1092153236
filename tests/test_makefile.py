"""What `make` must never touch."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_clean_leaves_checkpoints_and_mlflow_alone(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    results = [tmp_path / name for name in ("runs/mlflow.db", "runs/chest_xray_dcgan/checkpoints/epoch_000001.pt")]
    made = tmp_path / "build" / "lib.txt"
    for path in (*results, made):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    subprocess.run([shutil.which("make"), "clean"], cwd=tmp_path, check=True, capture_output=True)
    assert [path.exists() for path in (*results, made)] == [True, True, False]
