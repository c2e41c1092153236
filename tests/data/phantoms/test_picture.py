"""Phantom pictures: deterministic, alike for one patient, of radiographic anatomy, findings where they belong."""

import cv2
import numpy as np
import pytest

from monai_xr.data.phantoms import FINDINGS, make_phantom
from monai_xr.errors import ConfigurationError

PATIENTS = range(8)


def _shrunk(pixels: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA))


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@pytest.mark.parametrize("size", [16, 64, 100, 256, 300])
def test_any_size_gives_greys_between_0_and_1(size: int) -> None:
    phantom = make_phantom(1, "CONSOLIDATION", size=size)
    assert phantom.pixels.shape == phantom.mask.shape == (size, size)
    assert phantom.pixels.dtype == np.float32
    assert phantom.mask.dtype == bool
    assert phantom.pixels.min() >= 0
    assert phantom.pixels.max() <= 1
    assert phantom.pixels.max() - phantom.pixels.min() > 0.7
    assert 300 < phantom.spacing_mm * size < 450  # a detector of 35 to 43 cm, or collimated to the chest


def test_the_same_arguments_give_the_same_pixels() -> None:
    for finding in FINDINGS:
        one, other = (make_phantom(5, finding, size=128, patient=3) for _ in range(2))
        np.testing.assert_array_equal(one.pixels, other.pixels)
        np.testing.assert_array_equal(one.mask, other.mask)


def test_size_changes_resolution_not_anatomy() -> None:
    small, large = (make_phantom(5, "NODULES", size=size, patient=2) for size in (256, 768))
    assert _correlation(_shrunk(large.pixels, 64), _shrunk(small.pixels, 64)) > 0.99
    overlap = _shrunk(large.mask.astype(np.float32), 64) > 0.5
    assert overlap.any()
    assert (overlap & (_shrunk(small.mask.astype(np.float32), 64) > 0.5)).sum() > 0.6 * overlap.sum()


def _best_match(one: np.ndarray, other: np.ndarray) -> float:
    """Give the highest correlation over shifts of up to 5 pixels, away from collimated borders."""
    inner = np.ascontiguousarray(other[11:53, 11:53])
    found = cv2.matchTemplate(np.ascontiguousarray(one[6:58, 6:58]), inner, cv2.TM_CCOEFF_NORMED)
    return float(np.asarray(found).max())


def test_pictures_of_one_patient_are_alike_and_of_two_are_not() -> None:
    within, between = [], []
    for patient in PATIENTS:
        first, second = (make_phantom(2, "NORMAL", size=64, patient=patient, image=image) for image in range(2))
        other = make_phantom(2, "NORMAL", size=64, patient=patient + 100)
        assert not np.array_equal(first.pixels, second.pixels)
        assert (first.sex, first.age_years) == (second.sex, second.age_years)
        within.append(_best_match(first.pixels, second.pixels))
        between.append(_best_match(first.pixels, other.pixels))
    assert np.median(within) > np.median(between) + 0.03
    assert (np.array(within) > np.array(between)).mean() > 0.75


def test_lungs_are_darker_than_heart_and_abdomen_brighter() -> None:
    for patient in PATIENTS:
        pixels = _shrunk(make_phantom(3, "NORMAL", size=256, patient=patient).pixels, 32)
        right_lung, left_lung = pixels[11:15, 7:11].mean(), pixels[11:15, 21:25].mean()
        middle, abdomen = pixels[16:21, 15:17].mean(), pixels[28:31, 10:14].mean()
        assert max(right_lung, left_lung) < 0.75 * middle
        assert max(right_lung, left_lung) < 0.75 * abdomen


def test_the_heart_lies_to_the_viewers_right() -> None:
    """At heart height the soft-tissue shadow reaches further to the right of the spine than to the left."""
    leans = []
    for patient in PATIENTS:
        pixels = _shrunk(make_phantom(3, "NORMAL", size=256, patient=patient).pixels, 64)
        rows = pixels[34:42]
        leans.append(rows[:, 34:46].mean() - rows[:, 18:30].mean())
    assert np.median(leans) > 0.08


def test_the_right_dome_stands_higher() -> None:
    higher = []
    for patient in PATIENTS:
        pixels = _shrunk(make_phantom(3, "NORMAL", size=256, patient=patient).pixels, 128)
        right, left = pixels[70:125, 28:40].mean(axis=1), pixels[70:125, 96:104].mean(axis=1)
        higher.append(int(np.argmax(np.diff(left))) - int(np.argmax(np.diff(right))))
    assert np.median(higher) > 0


def test_normal_has_no_mask_and_findings_are_inside_and_denser() -> None:
    for patient in PATIENTS:
        normal = make_phantom(4, "NORMAL", size=128, patient=patient)
        assert not normal.mask.any()
        for finding in sorted(set(FINDINGS) - {"NORMAL"}):
            phantom = make_phantom(4, finding, size=128, patient=patient)
            assert 0.0005 < phantom.mask.mean() < 0.4, finding
            # The display adapts to the picture, so compare the finding with the rest of the same picture.
            change = phantom.pixels - normal.pixels
            assert change[phantom.mask].mean() > change[~phantom.mask].mean() + 0.01, finding


def test_effusion_is_low_and_ground_glass_is_on_both_sides() -> None:
    for patient in PATIENTS:
        effusion = make_phantom(4, "EFFUSION", size=128, patient=patient).mask
        assert np.nonzero(effusion)[0].mean() > 64
        haze = make_phantom(4, "GROUND_GLASS", size=128, patient=patient).mask
        assert min(haze[:, :56].sum(), haze[:, 72:].sum()) > 0.15 * haze.sum()


def test_a_linear_classifier_tells_findings_of_unseen_patients() -> None:
    """Ridge regression on 32 x 32 thumbnails beats chance, 1 in 3, by more than three standard deviations."""
    names = ["NORMAL", "EFFUSION", "GROUND_GLASS"]

    def thumbnails(first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        pictures = [
            _shrunk(make_phantom(9, names[n % len(names)], size=64, patient=first + n).pixels, 32) for n in range(count)
        ]
        rows = np.array([(picture - picture.mean()) / picture.std() for picture in pictures]).reshape(count, -1)
        return rows, np.arange(count) % len(names)

    seen, labels = thumbnails(0, 45)
    unseen, truth = thumbnails(5000, 30)
    middle = seen.mean(axis=0)
    kernel = (seen - middle) @ (seen - middle).T + 30 * np.eye(len(seen))
    weights = (seen - middle).T @ np.linalg.solve(kernel, np.eye(len(names))[labels] - 1 / len(names))
    right = (((unseen - middle) @ weights).argmax(axis=1) == truth).mean()
    assert right > 1 / 3 + 3 * np.sqrt(1 / 3 * 2 / 3 / len(truth))


def test_noise_follows_the_dose() -> None:
    """Quantum noise falls with the square root of the number of photons."""
    from monai_xr.data.phantoms.exposure import Exposure, expose

    flat = np.full((128, 128), 2.0, np.float32)
    flat[:, :64] = 1.0
    lung = flat == 1.0
    spreads = []
    for dose in (0.25, 1.0):
        settings = Exposure(dose, 0.2, 0.3, 0.85, 0.0, (0, 0, 0, 0))
        picture = expose(flat, lung, settings, field_cm=40, rng=np.random.default_rng(0))
        spreads.append(float((picture[:, 1:50] - picture[:, :49]).std()))
    assert spreads[0] / spreads[1] == pytest.approx(2.0, rel=0.05)


def test_collimated_pictures_have_black_borders_of_the_asked_width() -> None:
    from monai_xr.data.phantoms.exposure import Exposure, expose

    path = np.tile(np.linspace(1, 3, 80, dtype=np.float32), (80, 1))
    settings = Exposure(1.0, 0.2, 0.3, 0.85, 0.0, (2.0, 0.0, 1.0, 4.0))
    picture = expose(path, path < 1.5, settings, field_cm=40, rng=np.random.default_rng(0))  # 2 pixels a cm
    assert (picture[:, :4] == 0).all()
    assert (picture[:, 78:] == 0).all()
    assert (picture[72:] == 0).all()
    assert (picture[:72, 4:78] > 0).mean() > 0.99


def test_unknown_findings_and_sizes_name_what_is_allowed() -> None:
    with pytest.raises(ConfigurationError, match="NORMAL, CONSOLIDATION, EFFUSION, NODULES, GROUND_GLASS"):
        make_phantom(1, "PNEUMONIA")
    with pytest.raises(ConfigurationError, match="16 or more"):
        make_phantom(1, "NORMAL", size=8)
