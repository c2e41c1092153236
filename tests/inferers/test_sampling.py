from collections import Counter
from types import SimpleNamespace

import pytest
import torch

from monai_xr.errors import ConfigurationError
from monai_xr.inferers import LatentDataset, film_latents


def films(*splits):
    records = [SimpleNamespace(label="PNEUMONIA", split=split) for split in splits]
    return SimpleNamespace(cache=SimpleNamespace(records=records))


class Numbered(list):
    """Films whose image is their place, a third of them sick."""

    def __init__(self, count):
        super().__init__({"image": place} for place in range(count))
        records = [SimpleNamespace(label="sick" if place < count // 3 else "well", split="") for place in self.places]
        self.cache = SimpleNamespace(records=records)

    @property
    def places(self):
        return range(len(self))


@pytest.mark.parametrize("count", [100, 150, 1000])
def test_films_are_used_evenly_each_with_its_label(count):
    items = [film_latents(count, 8, Numbered(100), seed=3)[index] for index in range(count)]
    used = Counter(item["condition"] for item in items)
    assert len(used) == 100
    assert max(used.values()) - min(used.values()) <= 1
    assert all((item["label"] == "sick") == (item["condition"] < 33) for item in items)


def test_few_images_stand_for_all_films_and_more_leave_them_as_they_are():
    few, more = (film_latents(count, 8, Numbered(300), seed=1) for count in (30, 700))
    assert [few[i]["condition"] for i in range(30)] == [more[i]["condition"] for i in range(30)]
    assert max(few[i]["condition"] for i in range(30)) > 200
    assert 3 <= sum(few[i]["label"] == "sick" for i in range(30)) <= 17  # 10 expected, three deviations


def test_images_are_made_of_training_films_or_where_there_are_no_splits_of_all():
    for splits in (("train", "train"), ("", "")):
        assert len(film_latents(4, 8, films(*splits))) == 4


@pytest.mark.parametrize("split", ["val", "test"])
def test_images_made_of_other_films_are_refused(split):
    with pytest.raises(ConfigurationError, match=f"films of the split {split} : split : use the split train"):
        film_latents(4, 8, films("train", split))


def test_each_seed_and_each_image_has_latents_of_its_own():
    drawn = [LatentDataset(300, 8, seed)[index]["image"] for seed in (0, 1, 2, 1 << 32) for index in range(300)]
    assert len({tuple(each.tolist()) for each in drawn}) == 1200
    latents = torch.stack(drawn)
    assert abs(latents.mean()) < 0.04
    assert abs(latents.std() - 1) < 0.03
    assert torch.equal(LatentDataset(1, 8, 2)[0]["image"], drawn[600])
    noises = {LatentDataset(300, 8, seed)[index]["noise_seed"] for seed in (0, 1) for index in range(300)}
    assert len(noises) == 600
