import numpy as np
import pytest
import torch

from monai_xr.errors import InputDataError
from monai_xr.metrics import Coverage, precision_recall_coverage
from monai_xr.metrics.coverage_floor import coverage_beside_floor
from monai_xr.metrics.floor import sides


def seeded_sets() -> tuple[torch.Tensor, torch.Tensor]:
    draw = np.random.default_rng(0)
    real = draw.normal(size=(60, 4))
    return torch.from_numpy(real), torch.from_numpy(1.3 * draw.normal(size=(45, 4)) + 0.8)


@pytest.mark.parametrize(
    ("neighbours", "expected"),
    [  # what compute_prdc of the package prdc 0.2, the published implementation, gives for these sets
        (5, Coverage(0.7777777777777778, 0.95, 0.6044444444444445, 0.7666666666666667)),
        (3, Coverage(0.6888888888888889, 0.9, 0.6370370370370371, 0.6333333333333333)),
    ],
)
def test_equals_the_published_implementation(neighbours: int, expected: Coverage) -> None:
    found = precision_recall_coverage(*seeded_sets(), neighbours=neighbours)
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-12)


def test_points_on_a_line_by_hand() -> None:
    # with 1 neighbour every real ball reaches 1, to either side of 0, 1, 2; synthetic ones reach 0.2, 0.2 and 9.3
    real, synthetic = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[0.5], [0.7], [10.0]])
    found = precision_recall_coverage(real, synthetic, neighbours=1)
    # 0.5 and 0.7 lie in the balls of 0 and 1, 10 in none; only the ball of 10, down to 0.7, holds real images: 1 and 2
    assert found == Coverage(precision=2 / 3, recall=2 / 3, density=4 / 3, coverage=2 / 3)


def test_a_collapsed_set_is_precise_and_covers_little() -> None:
    real = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    found = precision_recall_coverage(real, 0.05 * torch.randn(200, 8, generator=torch.Generator().manual_seed(1)))
    assert found.precision > 0.95
    assert found.recall < 0.05
    assert found.coverage < 0.2


def test_blocks_do_not_change_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = precision_recall_coverage(*seeded_sets())
    monkeypatch.setattr("monai_xr.metrics.coverage._BLOCK_ENTRIES", 100)
    assert precision_recall_coverage(*seeded_sets()) == whole


@pytest.mark.parametrize(
    ("real", "message"),
    [
        (torch.zeros(5, 4), "5 image.* : coverage : .* at least 6 a side"),
        (torch.full((9, 4), torch.nan), "NaN .* real features"),
        (torch.zeros(9, 3), "3 real against 4 synthetic"),
    ],
)
def test_refuses_in_one_line(real: torch.Tensor, message: str) -> None:
    with pytest.raises(InputDataError, match=message):
        precision_recall_coverage(real, torch.zeros(20, 4))


def test_a_patients_own_films_are_no_neighbours() -> None:
    draw = np.random.default_rng(0)
    own = np.repeat(draw.normal(size=(2, 30, 2)), 6, axis=1)  # of each set 30 patients of 6 films that are nearly one
    real, other = torch.from_numpy(own + 1e-3 * draw.normal(size=own.shape))
    patients = [str(number // 6) for number in range(180)]
    assert precision_recall_coverage(real, other).precision < 0.05  # every ball ends at its patient's other films
    found = precision_recall_coverage(real, other, patients=patients, synthetic_patients=patients)
    reach = [
        np.sort(np.linalg.norm(own[0, 6 * patient] - own[0, ::6], axis=1))[1] for patient in range(30)
    ]  # the nearest other patient has six films, so the fifth neighbour is his
    near = np.linalg.norm(own[0, ::6, None] - own[1, ::6], axis=2)
    assert found.precision == pytest.approx((near < np.array(reach)[:, None]).any(0).mean(), abs=0.02)
    compared = sides(
        real, other, held_out=other, patients=patients, held_out_patients=patients, synthetic_patients=patients
    )
    floored = coverage_beside_floor(compared)
    for name in ("precision", "recall", "density", "coverage"):
        assert floored[name].value == pytest.approx(getattr(found, name))
    with pytest.raises(InputDataError, match="of other patients"):
        precision_recall_coverage(real[:8], other, patients=["A"] * 6 + ["B"] * 2)
