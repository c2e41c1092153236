import pytest
import torch

from monai_xr.errors import ConfigurationError
from monai_xr.losses import AdversarialStep, DiffAugment, make_augment, r1_penalty
from monai_xr.networks import MSGGANDiscriminator


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(batch=4, size=16):
    return torch.rand(batch, 1, size, size, generator=source(9)) * 2 - 1


def test_brightness_adds_one_number_of_at_most_a_half_to_each_sample():
    before = pictures()
    (after,) = DiffAugment(["brightness"])([before], source())
    shifts = (after - before).flatten(1)
    torch.testing.assert_close(shifts, shifts[:, :1].expand_as(shifts))
    assert (shifts.abs() <= 0.5 + 1e-6).all()
    assert shifts[:, 0].unique().numel() == 4


def test_contrast_keeps_each_mean_and_scales_the_rest_by_a_half_to_three_halves():
    before = pictures()
    (after,) = DiffAugment(["contrast"])([before], source())
    torch.testing.assert_close(after.mean((1, 2, 3)), before.mean((1, 2, 3)))
    factors = after.std((1, 2, 3)) / before.std((1, 2, 3))
    assert ((factors >= 0.5) & (factors <= 1.5)).all()


def test_translation_moves_whole_pixels_by_at_most_an_eighth_and_mirrors_the_edge():
    before = pictures(batch=16)
    (after,) = DiffAugment(["translation"])([before], source())
    padded = torch.nn.functional.pad(before, (2, 2, 2, 2), mode="reflect")
    for sample, moved in enumerate(after):
        windows = [padded[sample, :, y : y + 16, x : x + 16] for y in range(5) for x in range(5)]
        assert any(torch.equal(moved, window) for window in windows)
    assert not torch.equal(after, before)


def test_cutout_zeroes_at_most_a_square_of_half_the_side():
    (after,) = DiffAugment(["cutout"])([torch.ones(32, 1, 16, 16)], source())
    holes = (after == 0).sum((1, 2, 3))
    assert ((holes >= 16) & (holes <= 64)).all()  # a quarter of it even where the middle is a corner


def test_probability_is_the_share_of_changed_samples():
    before = pictures(batch=4000, size=8)
    (after,) = DiffAugment(["brightness"], probability=0.3)([before], source())
    changed = (after != before).flatten(1).any(1).float().mean()
    assert changed.item() == pytest.approx(0.3, abs=0.03)  # four standard errors


def test_all_scales_of_a_sample_change_alike():
    fine = torch.ones(8, 1, 32, 32)
    coarse, finest = DiffAugment(["brightness"])([torch.ones(8, 1, 4, 4), fine], source())
    torch.testing.assert_close(coarse[:, 0, 0, 0], finest[:, 0, 0, 0])


def test_gradients_reach_the_images_and_penalties_are_differentiable_through_it():
    fakes = pictures().requires_grad_()
    DiffAugment()([fakes], source())[0].sum().backward()
    assert fakes.grad.abs().sum() > 0
    torch.manual_seed(0)
    network = MSGGANDiscriminator(image_size=32, width=16)
    pyramid = [torch.rand(4, 1, size, size) for size in network.sizes]
    r1_penalty(AdversarialStep(network, pyramid, pyramid, random=source(), augment=DiffAugment())).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_adaptive_probability_rises_where_reals_are_told_apart_and_falls_where_not():
    augment = DiffAugment(probability=0.5, target=0.6, images_to_full=1000)
    apart = torch.full((10,), 3.0), torch.full((10,), -3.0)
    for _ in range(4):
        augment.adapt(*apart)
    assert augment.probability.item() == pytest.approx(0.5 + 4 * 10 / 1000)  # r = 1 > 0.6
    mixed = torch.tensor([1.0, -1.0] * 5), torch.tensor([1.0, -1.0] * 5)
    for _ in range(4):
        augment.adapt(*mixed)
    assert augment.probability.item() == pytest.approx(0.5)  # r = 0 < 0.6
    for _ in range(3):
        augment.adapt(*apart)
    assert augment.probability.item() == pytest.approx(0.5)  # it moves every fourth batch


def test_adapted_probability_survives_a_checkpoint():
    first, second = (DiffAugment(probability=0.0, target=0.6, images_to_full=100) for _ in range(2))
    for _ in range(6):
        first.adapt(torch.ones(5), -torch.ones(5))
    second.load_state_dict(first.state_dict())
    for augment in (first, second):
        for _ in range(2):
            augment.adapt(torch.ones(5), -torch.ones(5))
    assert first.probability.item() == second.probability.item() == pytest.approx(0.4)


@pytest.mark.parametrize("setting", ["none", None])
def test_none_means_no_augmentation(setting):
    assert make_augment(str(setting)) is None


def test_names_and_mappings_are_read():
    assert make_augment("adaptive").target == 0.6
    assert make_augment("DiffAugment").probability.item() == 1
    assert make_augment({"policy": ["cutout"], "probability": 0.5}).policy == ("cutout",)


@pytest.mark.parametrize("setting", ["flip", {"policy": ["flip"]}, {"probability": 2}, {"colour": 1}])
def test_impossible_augmentations_are_refused(setting):
    with pytest.raises(ConfigurationError):
        make_augment(setting)


def test_scores_of_another_device_join_what_a_checkpoint_brought():
    augment = DiffAugment(probability=0.0, target=0.6)
    augment.load_state_dict({"probability": torch.tensor(0.5), "signs": [torch.tensor(1.0)] * 3})
    augment.adapt(torch.ones(4, device="meta"), torch.zeros(4, device="meta"))  # an accelerator without numbers
    assert augment.probability.device.type == "meta"
