import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from monai_xr.data.auditing import _PENALTY, _fitted, as_numbers, borders, held_out_scores, thumbnails

TILES = np.random.default_rng(0).random((3, 64, 64))


def test_thumbnail_is_the_mean_of_each_square():
    tile = np.kron(np.arange(64).reshape(8, 8), np.ones((8, 8)))
    assert np.array_equal(thumbnails(tile[None])[0], np.arange(64))
    assert thumbnails(TILES[:, :33, :33]).shape == (3, 64)


def test_border_knows_nothing_of_the_middle_nor_of_exposure():
    seen = borders(TILES)
    assert seen.shape == (3, 64)
    changed = TILES.copy()
    changed[:, 4:60, 4:60] = 0
    assert np.allclose(borders(changed), seen)
    assert np.allclose(borders(0.3 * TILES + 0.5), seen, rtol=1e-3, atol=1e-4)
    changed[:, :4, :4] = 1  # a marker in a corner
    assert not np.allclose(borders(changed), seen, atol=0.1)


def test_words_become_columns():
    assert as_numbers(["b", "a", "b"]).tolist() == [[0, 1], [1, 0], [0, 1]]


def test_fit_is_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    features, truth = rng.normal(size=(200, 3)), rng.random(200) < 0.3
    features[truth, 0] += 1
    theirs = LogisticRegression(C=1 / _PENALTY, class_weight="balanced", tol=1e-8, max_iter=1000).fit(features, truth)
    ours = _fitted(np.c_[features, np.ones(200)], truth)
    assert np.allclose(ours, [*theirs.coef_[0], *theirs.intercept_], atol=1e-3)


def test_films_of_one_patient_are_never_on_both_sides():
    rng = np.random.default_rng(2)
    units = np.repeat(np.arange(60), 4)
    features = np.repeat(rng.normal(size=(60, 100)), 4, axis=0)  # tell patients, and nothing else
    truth = np.repeat(rng.random(60) < 0.5, 4)
    scores = held_out_scores(features, truth, units)
    above = np.subtract.outer(scores[truth], scores[~truth])
    assert 0.3 < (above > 0).mean() < 0.7


def test_too_few_films_of_one_kind_are_no_answer():
    truth = np.arange(30) < 3
    assert held_out_scores(np.ones((30, 1)), truth, np.arange(30)) is None


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_scale_of_the_numbers_does_not_matter(scale):
    rng = np.random.default_rng(3)
    features, units = rng.normal(size=(80, 2)), np.arange(80)
    truth = features[:, 0] > 0
    assert np.allclose(
        held_out_scores(features, truth, units), held_out_scores(features * scale, truth, units), atol=1e-4
    )
