import numpy as np
import pytest
import torch
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

from monai_xr.errors import InputDataError
from monai_xr.metrics import kernel_distance


def normal(count: int, *, seed: int, mean: float = 0.0, width: int = 16) -> torch.Tensor:
    return mean + torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_double_loop(x: np.ndarray, y: np.ndarray) -> float:
    def mean(a: np.ndarray, b: np.ndarray, *, distinct: bool) -> float:
        pairs = [(i, j) for i in range(len(a)) for j in range(len(b)) if not (distinct and i == j)]
        return float(np.mean([(sum(a[i] * b[j]) / a.shape[1] + 1) ** 3 for i, j in pairs]))

    return mean(x, x, distinct=True) + mean(y, y, distinct=True) - 2 * mean(x, y, distinct=False)


def test_two_numbers_a_side_by_hand() -> None:
    # d = 1: within 0, 1: (0 + 1)^3 = 1; within 1, 2: (2 + 1)^3 = 27; across 0*1, 0*2, 1*1, 1*2: 1, 1, 8, 27
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [2.0]])
    assert float(kernel_distance(x, y)) == pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4)


@pytest.mark.parametrize(("n", "m"), [(2, 2), (7, 4), (3, 11)])
def test_equals_a_double_loop(n: int, m: int) -> None:
    x, y = normal(n, seed=0), normal(m, seed=1, mean=0.4)
    assert kernel_distance(x, y).value == pytest.approx(by_double_loop(x.numpy(), y.numpy()), rel=1e-9)
    assert kernel_distance(x, y).count == min(n, m)


def test_pulls_are_the_jackknife_by_leaving_each_patient_out() -> None:
    x, y = normal(9, seed=0), normal(6, seed=1, mean=0.5)
    whose = np.array([0, 0, 1, 2, 2, 2, 3, 4, 5])

    both = np.concatenate([x.numpy(), y.numpy()])

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        """The kernel with the means over both sets taken off."""
        plain = [(first @ second / 16 + 1) ** 3 for first in (a, b) for second in both]
        return float((a @ b / 16 + 1) ** 3 - np.mean(plain[:15]) - np.mean(plain[15:]) + middle)

    middle = np.mean([(a @ b / 16 + 1) ** 3 for a in both for b in both])

    def of(rows: np.ndarray, patients: np.ndarray) -> float:
        pairs = [(i, j) for i in range(len(rows)) for j in range(len(rows)) if patients[i] != patients[j]]
        within = np.mean([kernel(rows[i], rows[j]) for i, j in pairs])
        others = np.mean([kernel(y.numpy()[i], y.numpy()[j]) for i in range(6) for j in range(6) if i != j])
        return float(within + others - 2 * np.mean([kernel(a, b) for a in rows for b in y.numpy()]))

    found = kernel_distance(x, y, patients=[str(each) for each in whose])
    assert found.value == pytest.approx(of(x.numpy(), whose), rel=1e-9)
    without = np.array([of(x.numpy()[whose != p], whose[whose != p]) for p in range(6)])
    assert found.pulls[0] == pytest.approx(without - without.mean(), rel=1e-6, abs=1e-12)


def test_variance_between_samples_of_one_population_is_the_one_seen() -> None:
    found = [kernel_distance(normal(60, seed=2 * s), normal(80, seed=2 * s + 1)) for s in range(300)]
    seen = np.var([each.value for each in found])
    assert np.mean([sum(each.null_variance) for each in found]) == pytest.approx(seen, rel=0.25)


def test_films_of_one_patient_do_not_move_the_floor() -> None:
    # four films of a patient that hardly differ: with their pairs the distance of two halves is far above 0
    values, false_alarms = [], 0
    for seed in range(100):
        x, y, z = (normal(25, seed=3 * seed + s).repeat_interleave(4, 0) for s in range(3))
        ids = [str(number) for number in range(25) for _ in range(4)]
        near, floor = (kernel_distance(x, each, patients=ids, synthetic_patients=ids) for each in (y, z))
        values.append(floor.value)
        low, high = near.beyond(floor).interval or (0, 0)
        false_alarms += not low <= 0 <= high
    assert abs(np.mean(values)) < 3 * np.std(values) / 10
    assert false_alarms <= 12


def test_a_shift_that_a_z_test_sees_is_seen() -> None:
    # overlapping intervals of the distance and of its floor let a quarter of such shifts pass as fine
    seen = overlap = 0
    for seed in range(60):
        x, y, z = (normal(150, seed=3 * seed + s, mean=0.35 * (s == 1)) for s in range(3))
        near, floor = kernel_distance(x, y), kernel_distance(x, z)
        low, _ = near.beyond(floor).interval or (0, 0)
        seen += low > 0
        overlap += (near.interval or (0, 0))[0] > (floor.interval or (0, 0))[1]
    assert seen >= 57
    assert overlap <= seen


def test_a_set_is_as_much_nearer_as_the_other_is_farther() -> None:
    # a set nearer than other films of the first set's population are, as films of two hospitals are: below 0, all of it
    x, y, z = (normal(150, seed=s, mean=0.35 * (s == 2)) for s in range(3))
    near, far = kernel_distance(x, y), kernel_distance(x, z)
    nearer, farther = near.beyond(far), far.beyond(near)
    assert nearer.interval is not None
    assert farther.interval is not None
    assert nearer.interval == pytest.approx((-farther.interval[1], -farther.interval[0]))
    assert nearer.interval[0] < nearer.value < nearer.interval[1] < 0


def test_equals_torch_fidelity_with_one_subset_that_is_the_whole_set() -> None:
    x, y = normal(80, seed=2, width=40), normal(80, seed=3, width=40, mean=0.2)
    theirs = kid_features_to_metric(x, y, kid_subsets=1, kid_subset_size=80, verbose=False)
    assert kernel_distance(x, y).value == pytest.approx(theirs[KEY_METRIC_KID_MEAN], rel=1e-9)


def test_is_about_the_mean_of_torch_fidelitys_subsets() -> None:
    x, y = normal(200, seed=4), normal(150, seed=5, mean=0.5)
    theirs = kid_features_to_metric(x, y, kid_subsets=400, kid_subset_size=100, verbose=False)
    assert kernel_distance(x, y).value == pytest.approx(theirs[KEY_METRIC_KID_MEAN], rel=0.03)


def test_one_population_is_0_apart_on_average_at_any_count() -> None:
    values = [kernel_distance(normal(6, seed=2 * s), normal(20, seed=2 * s + 1)).value for s in range(300)]
    assert abs(np.mean(values)) < 3 * np.std(values) / 300**0.5
    assert min(values) < 0


@pytest.mark.parametrize(("mean", "least", "most"), [(0.5, 0.92, 0.985), (0.0, 0.92, 0.985)])
def test_interval_covers_the_true_distance(mean: float, least: float, most: float) -> None:
    truth = kernel_distance(normal(6000, seed=10_000), normal(6000, seed=10_001, mean=mean)).value if mean else 0.0
    covered = []
    for seed in range(300):
        low, high = kernel_distance(normal(40, seed=2 * seed), normal(50, seed=2 * seed + 1, mean=mean)).interval or ()
        covered.append(low <= truth <= high)
    assert least <= np.mean(covered) <= most


def test_blocks_do_not_change_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normal(30, seed=6), normal(20, seed=7)
    whole = kernel_distance(x, y)
    monkeypatch.setattr("monai_xr.metrics.kernel._BLOCK_ENTRIES", 60)
    assert kernel_distance(x, y).value == pytest.approx(whole.value, rel=1e-12)


def test_interval_of_two_images_or_of_equal_images_is_undefined_not_zero() -> None:
    assert kernel_distance(normal(2, seed=0), normal(9, seed=1)).interval is None
    assert kernel_distance(torch.ones(5, 3), torch.zeros(5, 3)).interval is None


@pytest.mark.parametrize(
    ("synthetic", "message"),
    [
        (torch.zeros(1, 4), "1 image"),
        (torch.full((5, 4), torch.nan), "NaN .* synthetic features"),
        (torch.zeros(5, 3), "4 real against 3 synthetic"),
    ],
)
def test_refuses_in_one_line(synthetic: torch.Tensor, message: str) -> None:
    with pytest.raises(InputDataError, match=message):
        kernel_distance(torch.zeros(5, 4), synthetic)


def test_patients_of_unequal_many_films_leave_the_interval_as_wide_as_the_distance_varies() -> None:
    films = [1, 1, 1, 2, 3, 6, 1, 9] * 6
    patients = [str(number) for number, count in enumerate(films) for _ in range(count)]
    values, reaches = [], []
    for seed in range(120):
        draw = np.random.default_rng(seed)
        sets = []
        for _ in range(2):
            own = draw.normal(size=(len(films), 6)).repeat(films, 0) + draw.normal(size=(len(patients), 6))
            sets.append(torch.from_numpy(5 + 0.05 * own))  # kernels of about 17,000 that vary by little
        found = kernel_distance(*sets, patients=patients, synthetic_patients=patients)
        assert found.interval is not None
        values.append(found.value)
        reaches.append((found.interval[1] - found.interval[0]) / 2)
    assert 0.7 < np.mean(reaches) / (1.96 * np.std(values)) < 1.6
