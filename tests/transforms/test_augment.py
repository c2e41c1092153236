import math

import pytest
import torch

from monai_xr.errors import ConfigurationError
from monai_xr.transforms import Augmentation, TwoViews, two_views

NOTHING = dict.fromkeys(("rotation", "scale", "shift", "brightness", "contrast"), 0.0)
TARGETS = torch.eye(2).repeat(4, 1)


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def films(count: int = 8, size: int = 32) -> torch.Tensor:
    return torch.rand(count, 1, size, size, generator=source(1)) * 2 - 1


def spot(size: int = 33) -> torch.Tensor:
    image = torch.full((1, 1, size, size), -1.0)
    image[..., size // 2, -5:] = 1
    return image


def test_nothing_alters_nothing():
    images, targets = Augmentation(**NOTHING)(films(), TARGETS, source())
    assert torch.equal(images, films())
    assert torch.equal(targets, TARGETS)


def test_equal_draws_give_equal_batches_in_range():
    augment = Augmentation(flip=0.5, aiin=0.5, mixup=0.2)
    first, second = (augment(films(), TARGETS, source(3)) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert first[0].abs().max() <= 1
    assert not torch.equal(first[0], augment(films(), TARGETS, source(4))[0])


def test_flip_mirrors_left_and_right_and_never_up_and_down():
    images, _ = Augmentation(**NOTHING, flip=1.0)(films(), TARGETS, source())
    torch.testing.assert_close(images, films().flip(-1), atol=1e-5, rtol=0)


def test_turns_stay_within_the_angle():
    angles = []
    for seed in range(40):
        turned = Augmentation(**NOTHING | {"rotation": 20.0})(spot(), TARGETS[:1], source(seed))[0][0, 0] + 1
        rows, columns = torch.meshgrid(torch.arange(33.0) - 16, torch.arange(33.0) - 16, indexing="ij")
        mass = turned.sum()
        angles.append(math.degrees(math.atan2((rows * turned).sum() / mass, (columns * turned).sum() / mass)))
    assert max(map(abs, angles)) <= 20.5
    assert min(angles) < -10 < 10 < max(angles)


def test_mixup_mixes_films_and_targets_alike():
    images, targets = Augmentation(**NOTHING, mixup=1.0)(films(), TARGETS, source())
    torch.testing.assert_close(targets.sum(1), torch.ones(8))
    # the mixture is a film plus a share of the difference to another: solved for the share on the targets
    shares = {round(value.item(), 5) for value in targets.flatten() if 0 < value < 1}
    share = max(shares)
    candidates = torch.cat([share * films() + (1 - share) * film for film in films()[:, None]])
    candidates = torch.cat([candidates, torch.cat([(1 - share) * films() + share * film for film in films()[:, None]])])
    nearest = torch.cdist(images.flatten(1), candidates.flatten(1)).min(1).values
    assert nearest.max() < 1e-2


def test_unknown_findings_stay_unknown_in_a_mixture():
    targets = torch.full((8, 2), float("nan"))
    assert torch.isnan(Augmentation(**NOTHING, mixup=1.0)(films(), targets, source())[1]).all()


def test_aiin_as_augmentation_equals_the_transform_on_chosen_films():
    images, _ = Augmentation(**NOTHING, aiin=0.5)(films(), TARGETS, source(2))
    changed = [not torch.equal(new, old) for new, old in zip(images, films(), strict=True)]
    assert 0 < sum(changed) < 8


@pytest.mark.parametrize(
    ("knobs", "message"),
    [({"flip": 2}, "2 : augment::flip : a probability"), ({"shift": 1.0}, "1.0 : augment::shift : 0 for none")],
)
def test_settings_that_cannot_be(knobs, message):
    with pytest.raises(ConfigurationError, match=message):
        Augmentation(**knobs)


def test_two_views_of_each_film_differ_and_keep_its_target():
    images, targets = torch.rand(5, 1, 16, 16) * 2 - 1, torch.arange(5)
    views, again = TwoViews(Augmentation())(images, targets, torch.Generator().manual_seed(0))
    assert again.tolist() == [0, 1, 2, 3, 4] * 2
    assert not torch.equal(views[:5], views[5:])
    nothing = Augmentation(rotation=0, scale=0, shift=0, brightness=0, contrast=0)
    assert torch.equal(TwoViews(nothing)(images, targets, torch.Generator())[0], torch.cat([images, images]))


def test_views_that_do_not_differ_are_refused():
    with pytest.raises(ConfigurationError, match="two views that do not differ : augment"):
        two_views("none")


def test_noise_is_as_strong_in_both_views_of_a_film_and_drawn_anew():
    grey = torch.zeros(64, 1, 32, 32)
    first, second = TwoViews(Augmentation(**NOTHING), noise=0.2)(grey, torch.arange(64), source())[0].chunk(2)
    strength = [view.std((1, 2, 3)) for view in (first, second)]
    torch.testing.assert_close(strength[0], strength[1], rtol=0.15, atol=0.005)
    assert strength[0].min() < 0.02  # standard deviations up to 0.4, of the range of 2
    assert 0.3 < strength[0].max() < 0.41
    assert abs((first * second).mean() / first.square().mean()) < 0.02
