"""The overlay `long.yaml`: a learning rate that is whole for a while, and falls from then on."""

import pytest
from monai.bundle import ConfigParser
from prove.families import BUNDLES, Images

from monai_xr.workflows.bundle_running.settings_list import SettingsList

FILES = [BUNDLES / "chest_xray_stylegan2" / "configs" / name for name in ("train.yaml", "long.yaml")]


def test_rate_is_whole_at_first_and_half_when_three_times_the_decay_was_seen():
    parser = ConfigParser()
    parser.read_config(FILES)
    for name, value in {"whole_images": 80, "decay_images": 8, "image_size": 32, "width": 4}.items():
        parser[name] = value
    parser["train::dataset"] = Images(count=8)  # in an epoch
    for scheduler in parser.get_parsed_content("train::schedulers").values():
        factor = scheduler.lr_lambdas[0]
        assert [factor(epoch) for epoch in (0, 10, 11, 13)] == pytest.approx([1, 1, 2**-0.5, 0.5])


def test_its_settings_can_be_typed():
    assert {"whole_images", "decay_images"} <= SettingsList(FILES).settings.keys()
