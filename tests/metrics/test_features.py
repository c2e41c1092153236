from collections.abc import Callable
from typing import SupportsFloat

import pytest
import torch

from monai_xr.errors import InputDataError
from monai_xr.metrics import FeatureMetric, frechet_distance, kernel_distance, random_space


def images(count: int = 5) -> torch.Tensor:
    return torch.rand(count, 1, 48, 48, generator=torch.Generator().manual_seed(0))


def test_gives_512_features_an_image_whatever_the_batch() -> None:
    space = random_space(seed=3)
    features = space(images())
    assert features.shape == (5, 512)
    assert torch.allclose(space(images(), batch_size=2), features, atol=1e-5)


def test_one_seed_is_one_space_and_another_seed_is_another() -> None:
    features = random_space(seed=3)(images())
    torch.rand(17)
    assert (random_space().name, random_space(seed=3).name) == ("random", "random3")
    assert torch.equal(random_space(seed=3)(images()), features)
    assert not torch.allclose(random_space(seed=4)(images()), features, atol=0.1)


def test_leaves_the_global_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    random_space(seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_tells_an_upside_down_set_from_another_sample_of_the_same_kind() -> None:
    rows = torch.linspace(0, 1, 48)[:, None].expand(48, 48)
    first, second = ((rows + 0.2 * torch.rand(30, 1, 48, 48)).clamp(0, 1) ** 2 for _ in range(2))
    space = random_space()
    upright, flipped = (
        frechet_distance(space(first), space(second)),
        frechet_distance(space(first), space(second.flip(2))),
    )
    assert flipped > 5 * upright


def test_refuses_images_of_another_range() -> None:
    with pytest.raises(InputDataError, match=r"\(x \+ 1\) / 2"):
        random_space()(images() * 2 - 1)


@pytest.mark.parametrize("measure", [frechet_distance, kernel_distance])
def test_metric_over_batches_equals_the_function_on_the_whole(measure: Callable[..., SupportsFloat]) -> None:
    space = random_space(seed=1)
    real, synthetic = images(7), images(5) ** 2
    metric = FeatureMetric(space, measure)
    for batch in real.split(3):
        metric.update(batch, real=True)
    for batch in synthetic.split(2):
        metric.update(batch, real=False)
    assert metric.compute().item() == pytest.approx(float(measure(space(real), space(synthetic))), rel=1e-4)


def test_metric_with_one_kind_of_images_says_so() -> None:
    metric = FeatureMetric(random_space(), frechet_distance)
    metric.update(images(2), real=True)
    with pytest.raises(InputDataError, match="one kind"):
        metric.compute()
