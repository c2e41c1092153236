import numpy as np
import pytest
import torch

from monai_xr.losses import VICReg


def by_the_paper(first: np.ndarray, second: np.ndarray, weights: tuple[float, float, float]) -> float:
    """Equations 1 to 6 of arXiv 2105.04906 with gamma 1 and epsilon 1e-4, number by number."""
    count, length = first.shape
    invariance = sum(((a - b) ** 2).sum() for a, b in zip(first, second, strict=True)) / count / length
    variance = covariance = 0.0
    for vectors in (first, second):
        for j in range(length):
            variance += max(0.0, 1 - np.sqrt(np.var(vectors[:, j], ddof=1) + 1e-4)) / length
        matrix = np.cov(vectors.T)
        covariance += sum(matrix[i, j] ** 2 for i in range(length) for j in range(length) if i != j) / length
    return float(np.dot(weights, (invariance, variance, covariance)))


@pytest.mark.parametrize("weights", [(25.0, 25.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
def test_loss_is_that_of_the_paper(weights: tuple[float, float, float]) -> None:
    draw = np.random.default_rng(0)
    first = draw.normal(size=(7, 5)) * [0.1, 0.5, 1.0, 2.0, 0.9]
    second = first + 0.3 * draw.normal(size=first.shape)
    loss = VICReg(invariance=weights[0], variance=weights[1], covariance=weights[2])
    found = loss(torch.from_numpy(np.concatenate([first, second])), None).item()
    assert found == pytest.approx(by_the_paper(first, second, weights), rel=1e-5)


def test_vectors_that_are_all_the_same_cost_what_their_spread_lacks_and_have_a_gradient() -> None:
    vectors = torch.ones(8, 4, requires_grad=True)
    loss = VICReg()(vectors)
    assert loss.item() == pytest.approx(2 * 25 * (1 - 0.01))  # the root of 1e-4
    loss.backward()
    assert torch.isfinite(vectors.grad).all()  # type: ignore[arg-type]
