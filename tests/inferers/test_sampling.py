from types import SimpleNamespace

import pytest

from monai_xr.errors import ConfigurationError
from monai_xr.inferers import film_latents


def films(*splits):
    records = [SimpleNamespace(label="PNEUMONIA", split=split) for split in splits]
    return SimpleNamespace(cache=SimpleNamespace(records=records))


def test_images_are_made_of_training_films_or_where_there_are_no_splits_of_all():
    for splits in (("train", "train"), ("", "")):
        assert len(film_latents(4, 8, films(*splits))) == 4


@pytest.mark.parametrize("split", ["val", "test"])
def test_images_made_of_other_films_are_refused(split):
    with pytest.raises(ConfigurationError, match=f"films of the split {split} : split : use the split train"):
        film_latents(4, 8, films("train", split))
