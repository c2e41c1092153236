import math

import pytest
import torch

from monai_xr.losses import ClassLoss

NAN = float("nan")


def test_one_class_a_film_by_hand():
    loss = ClassLoss()(torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([[1.0, 0.0]]))
    assert loss.item() == pytest.approx(-math.log(0.75))


def test_smoothing_spreads_the_target_by_hand():
    loss = ClassLoss(label_smoothing=0.2)(torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([[1.0, 0.0]]))
    assert loss.item() == pytest.approx(-0.9 * math.log(0.75) - 0.1 * math.log(0.25))


def test_mixed_targets_give_the_mixture_of_the_losses():
    logits = torch.tensor([[0.3, -1.0]])
    loss = ClassLoss()
    pure = [loss(logits, torch.tensor([row])).item() for row in ([1.0, 0.0], [0.0, 1.0])]
    assert loss(logits, torch.tensor([[0.3, 0.7]])).item() == pytest.approx(0.3 * pure[0] + 0.7 * pure[1])


def test_class_weights_weigh_films_of_one_class():
    logits = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    targets = torch.eye(2)
    one, other = math.log(1 + math.exp(-1)), math.log(1 + math.exp(1))
    loss = ClassLoss(class_weights=torch.tensor([3.0, 1.0]))(logits, targets)
    assert loss.item() == pytest.approx((3 * one + other) / 2)  # by films; balanced weights have mean 1


def test_unknown_findings_add_nothing_and_get_no_gradient():
    logits = torch.tensor([[0.0, 5.0], [2.0, -5.0]], requires_grad=True)
    targets = torch.tensor([[1.0, NAN], [0.0, NAN]])
    loss = ClassLoss(multi_label=True)(logits, targets)
    assert loss.item() == pytest.approx((math.log(2) + math.log(1 + math.exp(2))) / 2)
    loss.backward()
    assert logits.grad[:, 1].tolist() == [0.0, 0.0]
    nothing = ClassLoss(multi_label=True)(logits, torch.full((2, 2), NAN))
    assert nothing.item() == 0


def test_weight_of_present_findings_and_smoothing_by_hand():
    logits, targets = torch.tensor([[2.0]]), torch.tensor([[1.0]])
    weighted = ClassLoss(multi_label=True, class_weights=torch.tensor([4.0]))(logits, targets)
    assert weighted.item() == pytest.approx(4 * math.log(1 + math.exp(-2)))
    smooth = ClassLoss(multi_label=True, label_smoothing=0.2)(logits, targets)
    assert smooth.item() == pytest.approx(0.9 * math.log(1 + math.exp(-2)) + 0.1 * math.log(1 + math.exp(2)))
