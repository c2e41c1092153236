"""The overlay `lean.yaml`: each family's own networks under the recipe of the StyleGAN2 bundle."""

import pytest
import torch
from ignite.utils import manual_seed
from monai.bundle import ConfigParser
from prove.families import BUNDLES, Images

from monai_xr.losses.objective import terms_text

LEAN = sorted(path.parents[1].name for path in BUNDLES.glob("*/configs/lean.yaml"))


def trainer(bundle, *overlays):
    """The engine of a bundle, small, on noise of two classes."""
    parser = ConfigParser()
    parser.read_config([BUNDLES / bundle / "configs" / f"{name}.yaml" for name in ("train", *overlays)])
    small = {"device": "cpu", "precision": "float32", "image_size": 32, "width": 16, "latent_size": 16, "max_epochs": 2}
    for name, value in small.items():
        parser[name] = value
    if "attention_sizes" in parser:
        parser["attention_sizes"] = [16]
    parser["train::dataset"] = Images(count=parser["batch_size"])
    parser["train::handlers"] = []
    manual_seed(0)
    return parser.get_parsed_content("train::trainer")


def test_the_families_of_the_papers_have_it():
    assert LEAN == ["chest_xray_acgan", "chest_xray_dcgan", "chest_xray_msg_gan", "chest_xray_msg_sagan"]


@pytest.mark.parametrize("bundle", LEAN)
def test_recipe_is_that_of_the_stylegan2_bundle_and_the_networks_are_the_family_s(bundle):
    recipe, lean, own = trainer("chest_xray_stylegan2"), trainer(bundle, "lean"), trainer(bundle)
    for player in ("discriminator", "generator"):
        terms = {name: term for name, term in getattr(lean.objective, player).items() if name != "classes"}
        assert terms_text(terms) == terms_text(getattr(recipe.objective, player))
    assert lean.details["augmentation"] == recipe.details["augmentation"]
    assert (lean.ema_decay, lean.data_loader.batch_size) == (recipe.ema_decay, recipe.data_loader.batch_size)
    assert lean.details["generator"] == own.details["generator"]
    assert "BatchNorm" not in lean.details["discriminator"]
    assert weights(lean.discriminator) == weights(own.discriminator)


def weights(network):
    """The shapes of the weights of convolutions and linear layers."""
    layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)]
    return [tuple(layer.weight.shape) for layer in layers]


@pytest.mark.parametrize("bundle", LEAN)
def test_it_trains(bundle):
    lean = trainer(bundle, "lean")
    lean.run()
    assert lean.state.iteration == 2
    assert all(torch.isfinite(weight).all() for weight in lean.ema_generator.parameters())
