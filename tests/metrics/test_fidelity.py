import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from monai_xr.errors import InputDataError
from monai_xr.metrics import batchwise_frechet_distance, frechet_distance, frechet_distance_at_infinity


def correlated(count: int, width: int, *, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=generator, dtype=torch.float64)
    return torch.randn(count, width, generator=generator, dtype=torch.float64) @ mixing + seed


def by_definition(real: np.ndarray, synthetic: np.ndarray) -> float:
    first, second = np.cov(real.T), np.cov(synthetic.T)
    shift = ((real.mean(0) - synthetic.mean(0)) ** 2).sum()
    return float(shift + np.trace(first) + np.trace(second) - 2 * np.trace(sqrtm(first @ second)).real)


def with_moments(mean: list[float], variances: list[float]) -> torch.Tensor:
    """Rows whose sample mean and unbiased diagonal covariance are exactly these: +-s e_k about the mean."""
    rows = 2 * len(mean)
    spread = torch.tensor([(value * (rows - 1) / 2) ** 0.5 for value in variances], dtype=torch.float64)
    return torch.cat([torch.diag(spread), -torch.diag(spread)]) + torch.tensor(mean, dtype=torch.float64)


def test_closed_form_for_gaussians_with_diagonal_covariances() -> None:
    # (1-4)^2 + (2-6)^2 + (sqrt 4 - sqrt 9)^2 + (sqrt 1 - sqrt 16)^2 = 9 + 16 + 1 + 9
    real, synthetic = with_moments([1, 2], [4, 1]), with_moments([4, 6], [9, 16])
    assert frechet_distance(real, synthetic) == pytest.approx(35)


@pytest.mark.parametrize(("real_count", "synthetic_count"), [(200, 300), (200, 20), (15, 12), (15, 200), (24, 25)])
def test_equals_the_definition_with_scipy_sqrtm(real_count: int, synthetic_count: int) -> None:
    real, synthetic = correlated(real_count, 24, seed=1), correlated(synthetic_count, 24, seed=2)
    # sqrtm of a singular product is good to about the root of the rounding error
    assert frechet_distance(real, synthetic) == pytest.approx(by_definition(real.numpy(), synthetic.numpy()), rel=2e-6)


def test_is_zero_for_equal_sets_in_any_order() -> None:
    features = correlated(40, 8, seed=3)
    assert frechet_distance(features, features.flip(0)) == pytest.approx(0, abs=1e-9)


def test_a_shift_adds_its_square() -> None:
    features = correlated(10, 30, seed=4)
    assert frechet_distance(features, features + 0.5) == pytest.approx(30 * 0.25)


def test_single_precision_features_are_computed_in_double() -> None:
    real, synthetic = correlated(30, 40, seed=5).float(), correlated(30, 40, seed=6).float()
    assert frechet_distance(real, synthetic) == frechet_distance(real.double(), synthetic.double())


@pytest.mark.parametrize(
    ("real", "synthetic", "message"),
    [
        (torch.zeros(1, 4), torch.zeros(5, 4), "1 image"),
        (torch.zeros(5, 4), torch.full((5, 4), torch.nan), "NaN .* synthetic features"),
        (torch.zeros(5, 4), torch.zeros(5, 3), "4 real against 3 synthetic"),
        (torch.zeros(5, 4, 1, 1), torch.zeros(5, 4), "one row an image"),
    ],
)
def test_refuses_in_one_line(real: torch.Tensor, synthetic: torch.Tensor, message: str) -> None:
    with pytest.raises(InputDataError, match=message) as failure:
        frechet_distance(real, synthetic)
    assert "\n" not in str(failure.value)


def test_extrapolation_removes_the_bias_of_the_count() -> None:
    # two samples of one population are 0 apart; with few images the plain distance is far from it
    plain, extrapolated = [], []
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        real, synthetic = (torch.randn(120, 12, generator=generator, dtype=torch.float64) for _ in range(2))
        plain.append(frechet_distance(real, synthetic))
        extrapolated.append(frechet_distance_at_infinity(real, synthetic))
    assert np.mean(plain) > 0.5
    assert abs(np.mean(extrapolated)) < 0.1 * np.mean(plain)


def test_extrapolation_keeps_a_true_distance() -> None:
    generator = torch.Generator().manual_seed(0)
    real, synthetic = (torch.randn(400, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    # N(0, 1) against N(1, 4): 6 * (1 + (2 - 1)^2)
    assert frechet_distance_at_infinity(real, 2 * synthetic + 1) == pytest.approx(12, rel=0.05)


def test_extrapolation_of_distances_on_a_line_is_its_value_at_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_xr.metrics.fidelity.frechet_distance", lambda real, synthetic: 3 + 60 / len(real))
    assert frechet_distance_at_infinity(torch.zeros(120, 2), torch.zeros(120, 2)) == pytest.approx(3)


def test_batchwise_distance_is_the_mean_over_batches_and_misleads() -> None:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.diag(torch.linspace(1, 0, 100, dtype=torch.float64) ** 4)
    real, healthy = (torch.randn(200, 100, generator=generator, dtype=torch.float64) @ mixing for _ in range(2))
    by_hand = np.mean([frechet_distance(real[i : i + 20], healthy[i : i + 20]) for i in range(0, 200, 20)])
    assert batchwise_frechet_distance(real, healthy) == pytest.approx(by_hand)
    # half the spread is lost: farther by the whole set, yet batch by batch nearer than the healthy set
    collapsed = 0.5 * healthy
    assert frechet_distance(real, collapsed) > 1.3 * frechet_distance(real, healthy)
    assert batchwise_frechet_distance(real, collapsed) < batchwise_frechet_distance(real, healthy)


def test_sets_too_small_to_extrapolate_or_to_batch_are_told() -> None:
    with pytest.raises(InputDataError, match=r"7 image.* at least 8 a side"):
        frechet_distance_at_infinity(torch.zeros(7, 2), torch.zeros(9, 2))
    with pytest.raises(InputDataError, match=r"19 image.* one batch of 20"):
        batchwise_frechet_distance(torch.zeros(30, 2), torch.zeros(19, 2))
