import sys

import numpy as np
import pytest

from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.workflows.studies.frozen_probe import fit_head, linear_probe


def films(counts, seed=0):
    """Features of classes that lie apart along one direction each."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    return rng.normal(size=(len(labels), 6)) + np.eye(6)[labels], labels


def test_gradient_of_the_balanced_penalised_likelihood_is_nil_at_the_solution():
    features, labels = films((40, 8))
    probe = linear_probe(features, labels, c=0.05)
    weight, bias = probe.weight[1] - probe.weight[0], probe.bias[1] - probe.bias[0]
    of_each = np.where(labels == 1, 48 / (2 * 8), 48 / (2 * 40))
    error = of_each * (1 / (1 + np.exp(-(features @ weight + bias))) - labels)
    assert np.abs(error @ features + weight / 0.05).max() < 1e-2
    assert abs(error.sum()) < 1e-2
    assert np.allclose(probe.probabilities(features)[:, 1], 1 / (1 + np.exp(-(features @ weight + bias))))


def test_three_classes_and_one_that_is_missing():
    features, labels = films((30, 30, 30))
    chosen = linear_probe(features, labels, classes=3, c=1).probabilities(features).argmax(1)
    assert (chosen == labels).mean() > 0.5  # a third by chance
    with pytest.raises(InputDataError, match="no film of class 1"):
        linear_probe(features[:30], labels[:30])


def test_findings_are_fitted_one_by_one_where_they_are_known():
    features, labels = films((40, 8))
    targets = np.stack([labels, 1 - labels, labels], 1).astype(float)
    targets[3:40, 2] = np.nan
    head, alone = fit_head(features, targets, multi_label="true"), linear_probe(features, labels)
    assert np.allclose(head.weight[0], alone.weight[1] - alone.weight[0])
    assert np.allclose(head.weight[0], -head.weight[1], atol=1e-3)
    known = np.isfinite(targets[:, 2])
    of_few = linear_probe(features[known], labels[known])
    assert np.allclose(head.bias[2], of_few.bias[1] - of_few.bias[0])
    with pytest.raises(ConfigurationError, match="above 0"):
        fit_head(features, targets, c=0)


def test_without_scikit_learn_the_way_out_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'monai-xr\[features\]'$"):
        linear_probe(*films((4, 4)))
