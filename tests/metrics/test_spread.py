import numpy as np
import pytest
import torch
from torch import nn
from torchmetrics.image.inception import InceptionScore

from monai_xr.errors import InputDataError
from monai_xr.metrics import inception_score, mean_cosine_distance, vendi_score


def test_vendi_counts_different_directions() -> None:
    kinds = torch.eye(5)
    assert vendi_score(kinds) == pytest.approx(5)
    assert vendi_score(kinds.repeat(4, 1) * 3) == pytest.approx(5)
    assert vendi_score(kinds[:1].repeat(9, 1)) == pytest.approx(1)


def test_vendi_equals_the_published_implementation() -> None:
    # vendi.score_K of the package vendi-score 0.0.3 on the cosines of these rows
    draw = np.random.default_rng(0)
    assert vendi_score(torch.from_numpy(draw.normal(size=(30, 5)))) == pytest.approx(4.554432997896154)
    assert vendi_score(torch.from_numpy(np.abs(draw.normal(size=(6, 20))))) == pytest.approx(2.678223214042421)


def test_cosine_distance_is_the_mean_over_all_pairs() -> None:
    rows = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pairs = [1 - torch.cosine_similarity(rows[i], rows[j], dim=0).item() for i in range(7) for j in range(i)]
    assert mean_cosine_distance(rows) == pytest.approx(np.mean(pairs))
    assert mean_cosine_distance(rows[:1].repeat(4, 1)) == pytest.approx(0)


def test_inception_score_by_hand() -> None:
    assert inception_score(torch.eye(3).repeat(2, 1)) == pytest.approx(3)  # sure of each of three classes
    assert inception_score(torch.tensor([[0.9, 0.1]] * 4)) == pytest.approx(1)  # one class only


@pytest.mark.filterwarnings("ignore:std\\(\\):UserWarning")  # over one part
def test_inception_score_equals_torchmetrics_with_one_part() -> None:
    logits = 2 * torch.randn(40, 4, generator=torch.Generator().manual_seed(1))
    with pytest.warns(UserWarning, match="memory footprint"):
        theirs = InceptionScore(feature=nn.Flatten(), splits=1)
    theirs.update(logits)
    assert inception_score(logits.softmax(1)) == pytest.approx(theirs.compute()[0].item(), rel=1e-5)


def test_refuses_in_one_line() -> None:
    with pytest.raises(InputDataError, match=r"no probabilities .* softmax"):
        inception_score(torch.randn(4, 3))
    with pytest.raises(InputDataError, match=r"1 image.* at least 2"):
        vendi_score(torch.ones(1, 3))
    with pytest.raises(InputDataError, match="NaN"):
        mean_cosine_distance(torch.full((3, 3), torch.nan))
