"""The overlay `random_aiin.yaml`: AIIN drawn anew each time a film is shown."""

import torch
from monai.bundle import ConfigParser
from monai.utils import set_determinism
from prove.families import BUNDLES, Images

CONFIGS = BUNDLES / "chest_xray_stylegan2" / "configs"


def films(probability, **small):
    """What the trainer is shown, of noise, and the noise itself."""
    parser = ConfigParser()
    parser.read_config([CONFIGS / "train.yaml", CONFIGS / "random_aiin.yaml"])
    for name, value in {"aiin_probability": probability, "batch_size": 8, **small}.items():
        parser[name] = value
    parser["train::dataset"] = noise = Images(count=8)
    set_determinism(0)
    return parser.get_parsed_content("train::dataloader").dataset, noise, parser


def test_films_are_shown_in_another_way_each_time():
    shown, _, parser = films(1.0)
    first, second = (torch.stack([item["image"] for item in shown]) for _ in range(2))
    assert all((one != other).any() for one, other in zip(first, second, strict=True))
    assert first.min() >= -1
    assert first.max() <= 1
    assert parser.get_parsed_content("aiin") == "none"


def test_half_of_them_as_they_are():
    shown, noise, parser = films(0.5)
    assert parser.get_parsed_content("aiin_probability") == 0.5
    same = [torch.allclose(shown[i]["image"], noise[i]["image"], atol=1e-6) for _ in range(16) for i in range(8)]
    assert 0.35 < sum(same) / len(same) < 0.65  # 128 draws: four standard deviations


def test_without_it_films_stay_and_keep_their_labels():
    shown, noise, _ = films(0.0)
    for i in range(8):
        assert torch.allclose(shown[i]["image"], noise[i]["image"], atol=1e-6)
        assert shown[i]["label"] == noise[i]["label"]


def test_two_classes_train_and_are_sampled():
    small = {"device": "cpu", "image_size": 32, "width": 4, "latent_size": 8, "max_epochs": 1, "train::handlers": []}
    _, _, parser = films(0.5, **small)
    trainer = parser.get_parsed_content("train::trainer")
    trainer.run()
    assert trainer.sample(4).shape == (4, 1, 32, 32)
