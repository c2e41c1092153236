import numpy as np
import pytest
import torch
from monai.metrics import MultiScaleSSIMMetric
from scipy.signal import convolve2d
from torchmetrics.wrappers import MetricTracker

from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.metrics import PairDiversity, ms_ssim, ms_ssim_of_random_pairs
from monai_xr.metrics.diversity import dyadic_standard_error, random_pairs

BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def textures(count: int, height: int, width: int, *, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 1, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return (smooth + 0.1 * torch.rand(count, 1, height, width, generator=generator)).clamp(0, 1)


@pytest.mark.parametrize(
    ("height", "width", "scales"),
    [(11, 30, 1), (22, 22, 2), (45, 61, 3), (64, 64, 3), (128, 99, 4), (175, 180, 4), (176, 180, 5), (200, 176, 5)],
)
def test_equals_monai_with_weights_cut_and_renormalised(height: int, width: int, scales: int) -> None:
    a, b = textures(3, height, width), textures(3, height, width, seed=1)
    kept = BETAS[:scales]
    monai = MultiScaleSSIMMetric(2, weights=[beta / sum(kept) for beta in kept], reduction="none")
    assert torch.allclose(ms_ssim(a, b), monai(a, b)[:, 0], atol=1e-5)


def test_constant_images_by_hand() -> None:
    # no structure: contrast terms are 1, and only the coarsest luminance term is left, to the power of its share
    a, b = torch.full((1, 1, 64, 64), 0.5), torch.full((1, 1, 64, 64), 0.25)
    luminance = (2 * 0.5 * 0.25 + 1e-4) / (0.25 + 0.0625 + 1e-4)
    assert ms_ssim(a, b).item() == pytest.approx(luminance ** (0.3001 / (0.0448 + 0.2856 + 0.3001)), abs=1e-5)


def test_reference_value_of_a_hand_made_pair() -> None:
    # one window, one scale: a step edge against its half-contrast copy, moments with the window's weights by plain sums
    offsets = np.arange(11) - 5
    weights = np.exp(-(offsets**2) / 4.5)
    window = np.outer(weights, weights) / weights.sum() ** 2
    a = np.where(np.arange(11) < 5, 0.2, 0.8) * np.ones((11, 1))
    b = 0.5 * a + 0.1
    mean_a, mean_b = (window * a).sum(), (window * b).sum()
    variance = (window * (a - mean_a) ** 2).sum()
    contrast = (2 * 0.5 * variance + 9e-4) / (variance + 0.25 * variance + 9e-4)
    expected = contrast * (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
    value = ms_ssim(*(torch.tensor(image, dtype=torch.float32)[None, None] for image in (a, b)))
    assert value.item() == pytest.approx(expected, abs=1e-5)


def test_an_image_equals_itself_and_its_negative_is_0() -> None:
    a = textures(2, 64, 64)
    assert torch.allclose(ms_ssim(a, a), torch.ones(2))
    assert torch.equal(ms_ssim(a, 1 - a), torch.zeros(2))


def test_blocks_do_not_change_values(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = textures(5, 32, 40), textures(5, 32, 40, seed=1)
    whole = ms_ssim(a, b)
    monkeypatch.setattr("monai_xr.metrics.diversity._BLOCK_PIXELS", 2 * 32 * 40)
    assert torch.allclose(ms_ssim(a, b), whole, atol=1e-6)


def test_random_pairs_are_distinct_seeded_and_cover_everything() -> None:
    first, second = random_pairs(9, 1000, seed=0)
    assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == [
        (i, j) for i in range(9) for j in range(i + 1, 9)
    ]
    few = random_pairs(100_000, 50, seed=1)
    assert np.array_equal(few, random_pairs(100_000, 50, seed=1))
    assert not np.array_equal(few, random_pairs(100_000, 50, seed=2))
    assert (few[0] < few[1]).all()
    assert few[0].min() >= 0
    assert few[1].max() < 100_000


def test_mean_of_all_pairs_of_a_small_set() -> None:
    images = textures(4, 32, 32)
    pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    expected = np.mean([ms_ssim(images[i : i + 1], images[j : j + 1]).item() for i, j in pairs])
    found = ms_ssim_of_random_pairs(images, seed=0)
    assert found.mean == pytest.approx(expected, abs=1e-6)
    assert (found.pairs, found.images) == (6, 4)
    assert found.interval is not None
    assert found.interval[0] < found.mean < found.interval[1]


def test_standard_error_by_hand() -> None:
    # pairs 01, 02, 34 with deviations 1, 1, -2: members' sums 2, 1, 1, -2, -2; (4+1+1+4+4 - 6) / 9
    error = dyadic_standard_error(np.array([4.0, 4.0, 1.0]), np.array([0, 0, 3]), np.array([1, 2, 4]))
    assert error == pytest.approx((8 / 9) ** 0.5)


@pytest.mark.parametrize(("members", "pairs"), [(30, 435), (60, 500), (2000, 400)])
def test_standard_error_is_the_spread_over_repeated_samples(members: int, pairs: int) -> None:
    # values g_i + g_j + e_ij: pairs of one member go together, as alike images do
    generator = np.random.default_rng(0)
    means, errors = [], []
    for repeat in range(400):
        of_member = generator.normal(size=members)
        first, second = random_pairs(members, pairs, seed=repeat)
        values = of_member[first] + of_member[second] + generator.normal(size=pairs)
        means.append(values.mean())
        errors.append(dyadic_standard_error(values, first, second))
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(means), rel=0.12)


def test_a_collapsed_set_is_more_alike_than_a_diverse_one() -> None:
    diverse = textures(20, 64, 64)
    collapsed = (diverse[:1] + 0.02 * torch.randn(20, 1, 64, 64, generator=torch.Generator().manual_seed(0))).clamp(
        0, 1
    )
    found = [ms_ssim_of_random_pairs(images, seed=0).interval for images in (diverse, collapsed)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0][1] < found[1][0]


def test_interval_of_equal_images_or_of_one_pair_is_undefined_not_zero() -> None:
    same = ms_ssim_of_random_pairs(textures(1, 32, 32).repeat(6, 1, 1, 1), seed=0)
    assert same.mean == pytest.approx(1)
    assert same.interval is None
    assert ms_ssim_of_random_pairs(textures(2, 32, 32), seed=0).interval is None


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(1, 1, 32, 32), "at least 2"),
        (torch.rand(3, 3, 32, 32), "one grey channel"),
        (torch.full((3, 1, 32, 32), torch.nan), "NaN"),
        (torch.rand(3, 1, 32, 32) * 255, r"scale to \[0, 1\]"),
        (torch.rand(3, 1, 10, 32), "10 x 32 pixels .* at least 11"),
        (torch.zeros(3, 1, 32, 32, dtype=torch.uint8), "floating-point"),
    ],
)
def test_refuses_in_one_line(images: torch.Tensor, message: str) -> None:
    with pytest.raises(InputDataError, match=message) as failure:
        ms_ssim_of_random_pairs(images, seed=0)
    assert "\n" not in str(failure.value)


def test_refuses_to_compare_no_pairs() -> None:
    with pytest.raises(ConfigurationError, match="pairs"):
        ms_ssim_of_random_pairs(textures(3, 32, 32), pairs=0, seed=0)


def test_refuses_pairs_of_different_sizes() -> None:
    with pytest.raises(InputDataError, match="32 x 32 against 32 x 48"):
        ms_ssim(torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 48))


def test_metric_over_batches_equals_the_function_on_the_whole() -> None:
    images = textures(9, 32, 32)
    metric = PairDiversity(pairs=20, seed=5)
    for batch in images.split(4):
        metric.update(batch)
    assert metric.compute().item() == pytest.approx(ms_ssim_of_random_pairs(images, pairs=20, seed=5).mean)


def test_metric_without_images_says_so() -> None:
    metric = PairDiversity()
    metric.update(textures(1, 32, 32))
    metric.reset()
    metric._update_count = 1
    with pytest.raises(InputDataError, match="no images"):
        metric.compute()


def by_scipy(a: np.ndarray, b: np.ndarray, scales: int) -> float:
    """MS-SSIM as image libraries for numpy take it: convolution at valid positions, means of 2 x 2, plain products."""
    offsets = np.arange(11) - 5
    line = np.exp(-(offsets**2) / 4.5)
    window = np.outer(line, line) / line.sum() ** 2
    kept = np.array(BETAS[:scales]) / sum(BETAS[:scales])
    value = 1.0
    for scale in range(scales):
        mean_a, mean_b, square_a, square_b, product = (
            convolve2d(image, window, mode="valid") for image in (a, b, a * a, b * b, a * b)
        )
        contrast = (2 * (product - mean_a * mean_b) + 9e-4) / (square_a - mean_a**2 + square_b - mean_b**2 + 9e-4)
        luminance = (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
        last = scale == scales - 1
        value *= (contrast * luminance if last else contrast).mean() ** kept[scale]
        a, b = (image.reshape(len(image) // 2, 2, -1, 2).mean((1, 3)) for image in (a, b))
    return float(value)


@pytest.mark.parametrize(("side", "scales"), [(32, 2), (128, 4), (512, 5)])
def test_equals_plain_convolutions_in_double_precision(side: int, scales: int) -> None:
    a, b = textures(1, side, side), 0.6 * textures(1, side, side) + 0.4 * textures(1, side, side, seed=1)
    expected = by_scipy(*(image[0, 0].double().numpy() for image in (a, b)), scales)
    assert ms_ssim(a, b).item() == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(
    "settings", [{"compute_on_cpu": True}, {"sync_on_compute": False}, {"compute_with_cache": False}]
)
def test_base_arguments_of_torchmetrics_are_taken_and_a_tracker_follows(settings):
    images = torch.rand(6, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    tracker = MetricTracker(PairDiversity(pairs=10, **settings), maximize=None)
    values = []
    for part in (images, images[:1].expand(6, -1, -1, -1) * 0.9 + images * 0.1):
        tracker.increment()
        tracker.update(part)
        values.append(float(tracker.compute()))
    best, step = tracker.best_metric(return_step=True)
    assert (best, step) == (pytest.approx(min(values)), int(np.argmin(values)))  # less alike is better
    with pytest.raises(ValueError, match="Unexpected keyword"):
        PairDiversity(colour=True)
