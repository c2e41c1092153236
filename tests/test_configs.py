"""Overlays of configs/data: they set knobs that the bundles have, and nothing else."""

from pathlib import Path

import pytest
from monai.bundle import ConfigParser

ROOT = Path(__file__).parents[1]
OVERLAYS = sorted((ROOT / "configs" / "data").glob("*.yaml"))


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_overlay_of_a_data_set_merges_over_a_bundle(overlay: Path) -> None:
    train = ROOT / "bundles" / "chest_xray_dcgan" / "configs" / "train.yaml"
    known, given = ConfigParser.load_config_file(train), ConfigParser.load_config_file(overlay)
    assert set(given) == {"dataset_dir", "classes", "split"} <= set(known)
    merged = ConfigParser.load_config_files([train, overlay])
    assert merged["dataset_dir"] == f"data/{overlay.stem}"
    assert merged["split"] == "train"
    assert merged["max_epochs"] == known["max_epochs"]


def test_there_is_one_for_each_known_set() -> None:
    assert len(OVERLAYS) == 6
