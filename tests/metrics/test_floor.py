from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from monai_xr.metrics import frechet_distance
from monai_xr.metrics.floor import Floored, beside_floor, half_split, sides


def fid(real: Tensor, other: Tensor) -> Mapping[str, float]:
    return {"fid": frechet_distance(real, other)}


def floored(real: Tensor, synthetic: Tensor, **settings: object) -> Floored:
    return beside_floor(fid, sides(real, synthetic, **settings), seed=0)["fid"]  # type: ignore[arg-type]


def normal(count: int, *, seed: int, mean: float = 0.0) -> Tensor:
    return mean + torch.randn(count, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_another_sample_of_the_population_is_at_the_floor() -> None:
    found = floored(normal(400, seed=0), normal(300, seed=1))
    assert found.count == 200
    assert found.ratio == pytest.approx(1, abs=0.25)
    assert found.ratio_interval is not None
    assert found.ratio_interval[0] < 1 < found.ratio_interval[1]


def test_a_shift_of_the_mean_adds_its_squared_length_to_the_floor() -> None:
    found = floored(normal(400, seed=0), normal(300, seed=1, mean=0.5))
    assert found.floor is not None
    assert found.value - found.floor == pytest.approx(16 * 0.25, rel=0.15)
    assert found.ratio == pytest.approx(found.value / found.floor)


def test_both_distances_use_equally_many_images() -> None:
    # a small sample is far from everything: with unequal counts, few synthetic images of the real population look bad
    real, few = normal(400, seed=0), normal(20, seed=1)
    halves = frechet_distance(real[:200], real[200:])
    assert frechet_distance(real, few) > 4 * halves
    found = floored(real, few)
    assert found.count == 20
    assert found.ratio == pytest.approx(1, abs=0.4)


def test_held_out_images_set_the_floor_against_all_real_ones() -> None:
    real, synthetic, held_out = normal(100, seed=0), normal(50, seed=1, mean=0.3), normal(50, seed=2)
    found = floored(real, synthetic, held_out=held_out)
    assert found.value == frechet_distance(real, synthetic)
    assert found.floor == frechet_distance(real, held_out)
    assert found.count == 50
    assert found.interval is not None
    assert found.interval[0] < found.value < found.interval[1]


def test_one_seed_gives_one_answer() -> None:
    real, synthetic = normal(60, seed=0), normal(70, seed=1)
    assert floored(real, synthetic, seed=3) == floored(real, synthetic, seed=3)
    assert floored(real, synthetic, seed=3) != floored(real, synthetic, seed=4)


def test_every_number_of_a_measure_gets_its_floor() -> None:
    found = beside_floor(
        lambda real, other: {"same": 3.0, "mean": float(other.mean())},
        sides(normal(40, seed=0), normal(30, seed=1, mean=2.0)),
    )
    assert (found["same"].value, found["same"].floor, found["same"].ratio, found["same"].count) == (3, 3, 1, 20)
    assert found["same"].interval is None
    assert found["mean"].value == pytest.approx(2, abs=0.2)
    assert found["mean"].floor == pytest.approx(0, abs=0.2)


def test_interval_of_a_mean_is_the_one_of_the_textbook() -> None:
    # a jackknife that leaves out one of 30 is exact for a mean: t of 29 degrees of freedom, 2.045
    other = normal(30, seed=1, mean=-5.0)
    found = beside_floor(
        lambda real, other: {"mean": float(other.mean())}, sides(normal(30, seed=0), other, held_out=normal(30, seed=2))
    )["mean"]
    error = float(other.mean(1).std()) / 30**0.5
    assert found.interval == pytest.approx((found.value - 2.045 * error, found.value + 2.045 * error), rel=1e-3)


def test_films_of_one_patient_go_together() -> None:
    def width(count: int, patients: list[str] | None) -> float:
        real, other, held_out = (normal(count, seed=s).repeat(3, 1) for s in range(3))
        whose = {"patients": patients, "held_out_patients": patients, "synthetic_patients": patients}
        found = floored(real, other + 0.5, held_out=held_out, **whose)
        assert found.interval is not None
        return found.interval[1] - found.interval[0]

    by_patient = width(60, [str(number) for number in range(60)] * 3)
    assert by_patient > 1.4 * width(60, None)  # the root of 3 were the distance a mean


def test_a_set_that_cannot_be_halved_has_no_floor() -> None:
    real, synthetic = normal(10, seed=0), normal(10, seed=1)
    for found in (floored(real, synthetic, patients=["P"] * 10), floored(real[:3], synthetic)):
        assert (found.floor, found.ratio, found.interval) == (None, None, None)
        assert found.value > 0


def test_real_images_that_are_all_the_same_give_no_ratio() -> None:
    found = floored(torch.ones(10, 16), normal(10, seed=1))
    assert found.floor == 0
    assert found.ratio is None


def test_no_patient_is_on_both_sides() -> None:
    patients = [f"P{number}" for number in np.random.default_rng(0).integers(0, 12, 60)]
    first, second = half_split(60, patients, np.random.default_rng(1))
    assert sorted([*first, *second]) == list(range(60))
    assert not {patients[index] for index in first} & {patients[index] for index in second}
    assert abs(len(first) - len(second)) <= 6
