"""The decision without torch, held against the one that training keeps."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from monai_xr.deploy.core.answers import Answers
from monai_xr.inferers.decision import Decision, decide


def drawn(multi_label, classes):
    """A decision by the rules of training, on drawn logits of three classes."""
    draw = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(200, len(classes), generator=draw)
    targets = (torch.rand(200, len(classes), generator=draw) > 0.6).float()
    if not multi_label:
        targets = torch.nn.functional.one_hot(torch.randint(0, len(classes), (200,), generator=draw), len(classes))
    rule = "youden" if multi_label else f"youden@{classes[1]}"
    return decide(logits, targets.float(), classes, multi_label=multi_label, rule=rule, abstain=0.2)


@pytest.mark.parametrize("multi_label", [False, True])
def test_findings_are_those_of_training_for_any_logits(multi_label):
    classes = ("NORMAL", "EFFUSION", "MASS")
    decision = drawn(multi_label, classes)
    answers = Answers.from_dict({**decision.as_dict(), "negatives": ["NORMAL"]})
    logits = 4 * torch.randn(500, 3, generator=torch.Generator().manual_seed(1))
    probabilities = decision.probabilities(logits)
    said = decision.answers(probabilities)
    for row in range(len(logits)):
        found = answers.findings(logits[row].numpy())
        assert [each.decision for each in found] == said[row]
        np.testing.assert_allclose([each.probability for each in found], probabilities[row], rtol=0, atol=1e-6)
    assert {each for row in said for each in row} == {"yes", "no", "unsure"}


def test_extreme_logits_give_no_infinity():
    plain = asdict(Decision(("a", "b"), True, 0.05, (0.5, 0.5), (0.0, 0.0), "youden", 9)) | {"negatives": []}
    high, low = Answers.from_dict(plain).findings(np.array([1e4, -1e4]))
    assert (high.probability, high.decision, low.probability, low.decision) == (1.0, "yes", 0.0, "no")
