"""The overlays of the DCGAN bundle give the networks of the two papers."""

from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from monai_xr.optimizers import AdaS

CONFIGS = Path(__file__).parents[2] / "bundles" / "chest_xray_dcgan" / "configs"


def parameters(overlay):
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / "train.yaml"), str(CONFIGS / f"{overlay}.yaml")])
    networks = (parser.get_parsed_content(name) for name in ("generator", "discriminator"))
    return parser, [sum(p.numel() for p in network.parameters()) for network in networks]


def test_table_ii_overlay_gives_the_network_of_table_ii():
    parser, counts = parameters("table_ii")
    assert counts == [3_573_697, 2_764_481]  # summed by hand over the printed layers, one channel, biases
    assert parser["batch_size"] == 128


def test_aiin_authors_overlay_gives_their_network_in_one_channel():
    parser, counts = parameters("aiin_authors")
    # Their counts less two channels of the last and first convolution: 128*4*4 weights each, and two biases.
    assert counts == [1_882_627 - 2 * 128 * 16 - 2, 1_063_553 - 2 * 128 * 16]
    assert parser.get_parsed_content("train::discriminator_optimizer::lr") == pytest.approx(1e-4)
    assert (parser["max_epochs"], parser["batch_size"], parser["image_size"]) == (500, 20, 128)


def test_optimiser_overlays_give_adas_at_two_time_scales():
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / f"{name}.yaml") for name in ("train", "table_ii", "adas", "ttur")])
    slow, fast = (parser.get_parsed_content(f"train::{who}_optimizer") for who in ("generator", "discriminator"))
    assert isinstance(slow, AdaS)
    assert isinstance(fast, AdaS)
    assert (slow.defaults["lr"], fast.defaults["lr"]) == (1e-3, 4e-3)  # AdaS's own default, and SAGAN's ratio
