"""A family that the package does not have is one file of networks and one overlay: trained, sampled and resumed."""

from pathlib import Path

import pytest
import torch
from ignite.utils import manual_seed
from monai.bundle import ConfigParser

from monai_xr.engines import ClassifierEngine, GanEngine
from monai_xr.errors import ConfigurationError
from monai_xr.handlers import Checkpoint
from monai_xr.handlers.protocols import Sampled, Trained

TRAIN = Path(__file__).parents[2] / "bundles" / "chest_xray_dcgan" / "configs" / "train.yaml"
SMALL = {"device": "cpu", "precision": "float32", "image_size": 64, "batch_size": 4, "ema_decay": 0.5}


def engine(output, *, iterations, resume=False, data_seed=0):
    """The training of `iterations` batches of noise, one an epoch."""
    parser = ConfigParser()
    parser.read_config([TRAIN, Path(__file__).with_name("style_gan.yaml")])
    for name, value in {**SMALL, "max_epochs": iterations}.items():
        parser[name] = value
    parser["train::dataset"] = torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(data_seed)) * 2 - 1
    parser["train::handlers"] = [Checkpoint(output / "checkpoints", resume=resume)]
    manual_seed(0)
    return parser.get_parsed_content("train::trainer")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    output = tmp_path_factory.mktemp("style")
    made = engine(output, iterations=2)
    made.run()
    return made, output


def test_new_family_trains_with_its_own_terms_and_augmentation(trained):
    made, _ = trained
    assert made.state.iteration == 2
    assert set(made.state.output["losses"]) == {
        "discriminator/adversarial", "discriminator/total", "generator/adversarial", "generator/total"
    }  # fmt: skip  # the lazy ones were due in the first iteration
    saved = made.objects_to_save()
    assert saved["generator_term_path_length"].mean > 0  # taken in the first of two iterations
    assert saved["augment"].reach != 0.1


def test_samples_depend_on_seed_and_place_alone_and_take_the_settings_of_the_family(trained):
    made, _ = trained
    before = torch.get_rng_state()
    images = made.sample(6, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    assert images.shape == (6, 1, 64, 64)
    torch.testing.assert_close(made.sample(3, seed=3), images[:3])
    assert made.sample(6, seed=3, truncation=0.1).std(0).mean() < images.std(0).mean()
    with pytest.raises(ConfigurationError, match="StyleGenerator takes no loudness"):
        made.sample(1, loudness=1)


def test_new_family_resumes_where_it_stopped(trained, tmp_path):
    _, output = trained
    resumed = engine(output, iterations=4, resume=True)
    resumed.run()
    whole = engine(tmp_path, iterations=4)
    whole.run()
    for name, thing in whole.objects_to_save().items():
        assert repr(resumed.objects_to_save()[name].state_dict()) == repr(thing.state_dict()), name


def test_engines_offer_what_handlers_ask_for(trained):
    made, _ = trained
    assert isinstance(made, GanEngine)
    assert isinstance(made, Sampled)
    assert {"objects_to_save", "random_sources", "trained_network"} <= set(dir(ClassifierEngine)) & set(dir(Trained))
