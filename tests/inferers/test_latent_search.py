"""AnoGAN's search against a problem whose answer is known, and its score by hand."""

import numpy as np
import pytest
import torch

from monai_xr.inferers.latent_search import SearchSettings, anomaly_scores, search_latents


def test_score_is_the_weighted_sum_of_absolute_differences():
    images, made = torch.tensor([[[[1.0, -1.0]]]]), torch.tensor([[[[0.5, 0.0]]]])
    scores = anomaly_scores(images, 3 * images, made, lambda x: 3 * x, SearchSettings(feature_weight=0.2))
    assert scores.tolist() == [pytest.approx(0.8 * 1.5 + 0.2 * 4.5)]


def test_search_finds_the_latents_of_an_image_that_the_generator_makes():
    draw = torch.Generator().manual_seed(3)
    matrix = torch.linalg.qr(torch.randn(64, 8, generator=draw))[0]
    wanted = torch.randn(2, 8, generator=draw)
    images = (wanted @ matrix.T).view(2, 1, 8, 8)
    settings = SearchSettings(steps=300, learning_rate=0.05)
    scores, made = search_latents(lambda z: (z @ matrix.T).view(-1, 1, 8, 8), torch.relu, images, 8, settings)
    start = settings.first_latents(8)
    before = anomaly_scores(
        images, images.relu(), torch.from_numpy(start @ matrix.numpy().T).view(1, 1, 8, 8), torch.relu, settings
    )
    assert (scores < 0.1 * before).all()
    torch.testing.assert_close(made, images, rtol=0, atol=0.1)


def test_each_image_is_searched_by_itself():
    settings, images = SearchSettings(steps=20), torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(1))

    def generator(z):
        return torch.tanh(z).view(-1, 1, 4, 4)

    together, _ = search_latents(generator, torch.sigmoid, images, 16, settings)
    alone = [search_latents(generator, torch.sigmoid, each[None], 16, settings)[0] for each in images]
    torch.testing.assert_close(together, torch.cat(alone))


def test_start_follows_from_the_seed():
    first, second = (SearchSettings(seed=seed).first_latents(500) for seed in (0, 1))
    assert np.array_equal(first, SearchSettings(seed=0).first_latents(500))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.2
