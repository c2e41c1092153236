from itertools import combinations

import numpy as np
import pytest

from monai_xr.data.selecting import by_class, by_distance, by_diversity
from monai_xr.errors import ConfigurationError, InputDataError

REAL = np.array([[0.0], [1.0], [3.0], [6.0], [10.0]])  # to the nearest other: 1, 1, 2, 3, 4


def test_images_of_another_class_than_their_label_go():
    probabilities = np.array([[0.7, 0.3], [0.3, 0.7], [0.5, 0.5], [0.1, 0.9]])
    assert by_class(probabilities, [0, 0, 1, 1]).tolist() == [0, 2, 3]
    assert by_class(probabilities, [0, 0, 1, 1], least=0.8).tolist() == [3]
    assert by_class(probabilities[:0], []).tolist() == []


def test_copies_and_junk_go():
    images = np.array([[0.0], [2.0], [3.5], [13.0], [-9.0]])  # 0, 1, 0.5, 3, 9 from the nearest real one
    assert by_distance(images, REAL, near=0.25, far=0.75).tolist() == [1, 3]  # between 1 and 3
    assert by_distance(images, REAL, near=0, far=0.75).tolist() == [0, 1, 2, 3]
    assert by_distance(images, REAL, near=0.25, far=1).tolist() == [1, 3, 4]
    assert by_distance(images[:0], REAL).tolist() == []


def test_films_of_one_patient_do_not_tell_what_is_near():
    real = np.array([[0.0], [0.1], [5.0], [5.1]])
    images = np.array([[0.5], [9.0]])  # other patients' films are 4.9 or 5 apart
    assert by_distance(images, real, near=0, far=0.5).tolist() == []
    assert by_distance(images, real, patients=["a", "a", "b", "b"], near=0, far=0.5).tolist() == [0, 1]
    with pytest.raises(InputDataError, match="of one patient"):
        by_distance(images, real, patients=["a"] * 4)
    with pytest.raises(ConfigurationError, match="0 <= near < far <= 1"):
        by_distance(images, real, near=0.9, far=0.1)


def test_few_stand_for_all():
    images = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2], [9.0]])
    assert by_diversity(images, 3).tolist() == [1, 3, 6]  # first 5.0, 19.0 from all (5.1: 19.1), then 0.1, then 9.0
    assert by_diversity(images, 99).tolist() == list(range(7))
    assert by_diversity(images, 1, cover=np.array([[9.0], [8.8]])).tolist() == [6]
    assert by_diversity(images[:0], 2).tolist() == []
    assert by_diversity(np.zeros((4, 2)), 2).tolist() == [0, 1]


def test_greedy_choice_reaches_its_bound():
    points = np.random.default_rng(0).normal(size=(12, 2))
    distances = np.linalg.norm(points[:, None] - points, axis=2)

    def worth(kept):
        return (distances.max() - distances[:, list(kept)].min(1)).sum()

    best = max(worth(kept) for kept in combinations(range(12), 3))
    assert worth(by_diversity(points, 3)) >= (1 - 1 / np.e) * best
