import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from monai_xr.errors import InputDataError
from monai_xr.metrics import Memorization, memorization, normalised_pixels, random_space


def chests(count: int, *, seed: int) -> torch.Tensor:
    """Smooth random images of one population, each its own patient."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 1, 6, 6, generator=generator)
    return torch.nn.functional.interpolate(coarse, (32, 32), mode="bicubic").clamp(0, 1)


def noisy(images: torch.Tensor) -> torch.Tensor:
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(99))
    return (images + 0.03 * noise).clamp(0, 1)


def of_images(training: torch.Tensor, synthetic: torch.Tensor, held_out: torch.Tensor) -> Memorization:
    training, synthetic, held_out = (normalised_pixels(each) for each in (training, synthetic, held_out))
    return memorization(training, synthetic, held_out=held_out)


def test_a_noisy_replay_of_training_images_is_caught() -> None:
    training = chests(1000, seed=0)
    found = of_images(training, noisy(training[:300]), chests(1000, seed=1))
    assert found.share >= 0.99
    assert found.memorized >= 297
    assert (found.nearest == np.arange(300)).mean() >= 0.99
    assert found.attack_interval is not None
    assert found.attack_interval[0] > 0.55


def test_a_replay_of_other_patients_is_not() -> None:
    found = of_images(chests(1000, seed=0), noisy(chests(1000, seed=2)), chests(1000, seed=1))
    assert found.share <= 0.07
    assert found.share_interval[0] < 0.05 < found.share_interval[1]
    assert found.attack_interval is not None
    assert found.attack_interval[0] < 0.5 < found.attack_interval[1]


def kermany(folder: Path, keep: str, count: int) -> tuple[torch.Tensor, list[str]]:
    with (folder / "manifest.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["label"] == "PNEUMONIA" and row["split"] == "train"]
    patients = sorted({row["patient_id"] for row in rows})
    third = {"training": 0, "held-out": 1, "other": 2}[keep]
    wanted = set(patients[third::3])
    rows = [row for row in rows if row["patient_id"] in wanted][:count]
    pixels = np.stack([cv2.imread(str(folder / row["file"]), cv2.IMREAD_GRAYSCALE) for row in rows])
    return torch.from_numpy(pixels / np.float32(255))[:, None], [row["patient_id"] for row in rows]


@pytest.mark.parametrize("space", ["pixels", "random"])
def test_controls_hold_on_real_films(real_data: Path, space: str) -> None:
    folder = real_data / "cxr" / "kermany"
    network = random_space()

    def features(images: torch.Tensor) -> torch.Tensor:
        return normalised_pixels(images) if space == "pixels" else network(torch.nn.functional.avg_pool2d(images, 4))

    training, patients = kermany(folder, "training", 900)
    held_out, held_out_patients = kermany(folder, "held-out", 900)
    other, _ = kermany(folder, "other", 900)
    arguments = {"patients": patients, "held_out": features(held_out), "held_out_patients": held_out_patients}
    replay = memorization(features(training), features(noisy(training[:100])), **arguments)
    assert replay.share >= 0.99
    others = memorization(features(training), features(other), **arguments)
    assert others.share <= 0.07
    assert others.attack_interval is not None
    assert others.attack_interval[0] < 0.55


def test_distances_and_threshold_by_hand() -> None:
    training = torch.tensor([[0.0], [10.0], [20.0]])
    held_out = 10.0 + torch.arange(1, 22, dtype=torch.float64)[:, None] / 10  # 0.1 to 2.1 away
    found = memorization(training, torch.tensor([[0.1], [0.105], [19.7], [13.0]]), held_out=held_out)
    assert found.threshold == pytest.approx(0.11)  # of 21 films the 1.1th: (21 + 1) * 5 %
    assert found.distances == pytest.approx([0.1, 0.105, 0.3, 3.0], abs=1e-5)
    assert found.nearest.tolist() == [0, 0, 2, 1]
    assert (found.copies, found.memorized, found.share) == (2, 1, 0.5)
    assert found.closest(3).tolist() == [0, 1, 2]


def test_without_held_out_images_other_patients_set_the_threshold() -> None:
    training = torch.tensor([[0.0], [0.01], [5.0], [5.01], [9.0]])
    found = memorization(training, torch.tensor([[0.5], [7.0]]), patients=["A", "A", "B", "B", "C"])
    # nearest of another patient: 0 and 0.01 to 5, 5 and 5.01 to 9, 9 to 5.01
    assert found.threshold == pytest.approx(3.99)  # of 5 films the least
    assert found.copies == 2
    assert (found.attack_auc, found.attack_interval) == (None, None)


def test_attack_auc_equals_scikit_learn_and_its_interval_covers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_xr.metrics.copies._RESAMPLES", 2)  # of the other interval
    draw = np.random.default_rng(0)
    covered = []
    for _ in range(100):
        training, held_out, synthetic = (torch.from_numpy(draw.normal(size=(count, 2))) for count in (60, 50, 30))
        found = memorization(training, synthetic, held_out=held_out)
        scores = [-torch.cdist(real, synthetic).amin(1).numpy() for real in (training, held_out)]
        expected = roc_auc_score([1] * 60 + [0] * 50, np.concatenate(scores))
        assert found.attack_auc == pytest.approx(expected)
        low, high = found.attack_interval or (1, 0)
        covered.append(low <= 0.5 <= high)
    assert 0.9 <= np.mean(covered) <= 0.99


def test_a_twentieth_of_other_real_films_counts_as_near_where_the_held_out_are_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("monai_xr.metrics.copies._RESAMPLES", 2)
    draw = np.random.default_rng(1)
    shares = []
    for _ in range(300):
        training, held_out, others = (torch.from_numpy(draw.normal(size=(40, 2))) for _ in range(3))
        shares.append(memorization(training, others, held_out=held_out).share)
    assert np.mean(shares) == pytest.approx(0.05, abs=0.008)  # 2.5 errors


@pytest.mark.parametrize(("copied", "told"), [(0.0, False), (0.1, True)])
def test_a_tenth_of_exact_copies_is_told_where_held_out_films_lie_at_44(copied: float, told: bool) -> None:
    draw = np.random.default_rng(3)
    training, held_out, synthetic = (torch.from_numpy(draw.normal(size=(n, 6))) for n in (800, 400, 800))
    copies = int(copied * 800)
    synthetic[:copies] = training[:copies]
    found = memorization(training, synthetic, held_out=0.92 * held_out)  # nearer to the middle than training films
    assert found.attack_zero == pytest.approx(0.44, abs=0.015)
    assert found.attack_auc == pytest.approx(0.44 + 0.56 * copied, abs=0.015)  # a copied film is before all others
    assert found.beyond_zero is not None
    assert (found.beyond_zero[0] > 0) == told
    assert found.beyond_zero[0] - 1e-9 <= found.attack_auc - found.attack_zero <= found.beyond_zero[1] + 1e-9


def test_the_zero_of_the_attack_is_what_halves_of_the_training_patients_give() -> None:
    training, held_out = torch.tensor([[0.0], [1.0], [10.0], [11.0]]), torch.tensor([[2.0], [30.0]])
    found = memorization(training, torch.tensor([[0.0], [5.0]]), held_out=held_out, patients=["A", "A", "B", "B"])
    # A is 10 and 9 from B's nearest, held-out films 8 and 19: 2 of 4 pairs are right. B is 9 and 10 from A, held-out
    # films 1 and 29: 2 of 4
    assert found.attack_zero == pytest.approx(0.5)
    alone = memorization(training, torch.tensor([[0.0], [5.0]]), held_out=held_out, patients=["A"] * 4)
    assert (alone.attack_zero, alone.beyond_zero) == (None, None)


def test_images_of_one_patient_widen_the_interval_of_the_attack() -> None:
    training, held_out, synthetic = (torch.randn(40, 3, generator=torch.Generator().manual_seed(s)) for s in range(3))
    twice, patients = training.repeat(2, 1), [str(number) for number in range(40)] * 2
    by_image = memorization(twice, synthetic, held_out=held_out).attack_interval or (0, 0)
    by_patient = memorization(twice, synthetic, held_out=held_out, patients=patients).attack_interval or (0, 0)
    assert by_patient[1] - by_patient[0] > by_image[1] - by_image[0]


def test_pixel_distance_ignores_brightness_and_contrast() -> None:
    images = chests(3, seed=0)
    assert torch.allclose(normalised_pixels(0.5 * images + 0.2), normalised_pixels(images), atol=1e-5)
    correlation = np.corrcoef(images.flatten(1).numpy())[0, 1]
    first, second = normalised_pixels(images)[:2]
    assert (first - second).norm().item() == pytest.approx((2 - 2 * correlation) ** 0.5, abs=1e-4)
    assert normalised_pixels(torch.full((2, 1, 8, 8), 0.5)).abs().max() == 0


def test_refuses_in_one_line() -> None:
    with pytest.raises(InputDataError, match="neither held-out images nor two patients"):
        memorization(torch.zeros(4, 2), torch.zeros(4, 2), patients=["A"] * 4)
    with pytest.raises(InputDataError, match="2 real against 3 synthetic"):
        memorization(torch.zeros(4, 2), torch.zeros(4, 3), patients=list("ABCD"))
