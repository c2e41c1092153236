import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from monai_xr.errors import ConfigurationError
from monai_xr.optimizers import AdaS

SHAPES = [(3, 2, 2, 2), (4, 3), (5,), ()]


class Restated:
    """The published rule for one array, in float64: one line an equation, no shared code."""

    def __init__(self, weights, lr=1e-3, lr2=5e-3, lr3=5e-4, b1=0.999, b2=0.999, b3=0.9999, eps=1e-8):
        self.w, self.settings, self.t = np.array(weights, dtype=np.float64), (lr3, b1, b2, b3, eps), 0
        self.S, self.q = np.full(self.w.shape[1:], lr), lr2
        self.M, self.MS = np.zeros_like(self.w), np.zeros(self.w.shape[1:])
        self.v = [0.0, 0.0, 0.0]

    def norm(self, k, x):
        _, b1, _, _, eps = self.settings
        self.v[k] = b1 * self.v[k] + (1 - b1) * x**2
        return x * math.sqrt(1 - b1**self.t) / (np.sqrt(self.v[k]) + eps)

    def step(self, g):
        lr3, _, b2, b3, _ = self.settings
        self.t += 1
        u = self.norm(0, g)
        self.w = self.w - self.S[None] * u if self.w.ndim > 1 else self.w - self.S * u
        k1 = (self.M * g).sum(0) if self.w.ndim else self.M * g
        self.M = b3 * self.M + (1 - b3) * u
        size_update = self.norm(1, k1)
        self.S = self.S + self.q * self.S * size_update
        k2 = (self.MS * k1).sum()
        self.MS = b2 * self.MS + (1 - b2) * size_update
        self.q = self.q + lr3 * self.q * self.norm(2, k2)


def losses_pulling(targets, noise):
    """Gradients of a bowl around the targets with fresh noise, as a function of the weights and the step."""
    return lambda weights, t: [w - goal + n[t] for w, goal, n in zip(weights, targets, noise, strict=True)]


@pytest.mark.parametrize(
    "settings", [{}, {"lr": 0.02, "lr2": 0.05, "lr3": 0.01, "b1": 0.9, "b2": 0.95, "b3": 0.99, "eps": 1e-6}]
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 3e-5)])
def test_500_steps_agree_with_the_published_rule(settings, dtype, tolerance):
    random = np.random.default_rng(0)
    start = [random.normal(size=shape) for shape in SHAPES]
    gradient = losses_pulling(
        [random.normal(size=shape) for shape in SHAPES], [random.normal(size=(500, *shape)) for shape in SHAPES]
    )
    restated = [Restated(w, **settings) for w in start]
    parameters = [nn.Parameter(torch.tensor(w, dtype=dtype)) for w in start]
    optimizer = AdaS(parameters, **settings)
    for t in range(500):
        # Both get the gradients at the restated weights, so that rounding does not feed back into the data.
        for rule, parameter, g in zip(restated, parameters, gradient([r.w for r in restated], t), strict=True):
            parameter.grad = torch.tensor(g, dtype=dtype)
            rule.step(g)
        optimizer.step()
    for rule, parameter, w in zip(restated, parameters, start, strict=True):
        state = optimizer.state[parameter]
        np.testing.assert_allclose(parameter.detach(), rule.w, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(state["step_sizes"], rule.S, rtol=30 * tolerance)
        np.testing.assert_allclose(state["rate"], rule.q, rtol=tolerance)
        assert np.abs(rule.w - w).max() > 0.01


def test_first_two_steps_by_hand():
    # g = 2 twice, b1 = 0.75, lr = 0.1, b3 = 0.5. Step 1: v = 1, u = 2 * 0.5 / 1 = 1, W = -0.1; M was 0, so S stays;
    # M = 0.5. Step 2: v = 1.75, u = 2 * sqrt(0.4375) / sqrt(1.75) = 1, W = -0.2; k1 = 0.5 * 2 = 1, its v = 0.25,
    # size_update = sqrt(0.4375) / 0.5 = 1.3228757, S = 0.1 * (1 + 0.2 * 1.3228757).
    weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = AdaS([weight], lr=0.1, lr2=0.2, b1=0.75, b3=0.5, eps=1e-300)
    optimizer_state = optimizer.state[weight]
    for expected in (-0.1, -0.2):
        weight.grad = torch.full((1,), 2.0, dtype=torch.float64)
        optimizer.step()
        assert weight.item() == pytest.approx(expected)
    assert optimizer_state["step_sizes"].item() == pytest.approx(0.1 * (1 + 0.2 * math.sqrt(1.75)))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(5, 3), (5,)),
        (nn.Conv2d(4, 6, 3), (4, 3, 3)),
        (nn.ConvTranspose2d(4, 6, 3), (6, 3, 3)),  # stored (in, out, k, k): by output
    ],
)
def test_step_sizes_are_shared_over_the_first_axis(layer, shape):
    optimizer = AdaS(layer.parameters())
    for parameter in layer.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert optimizer.state[layer.weight]["step_sizes"].shape == shape
    assert optimizer.state[layer.bias]["step_sizes"].shape == ()


def run(weight, optimizer, gradients):
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()


def test_step_sizes_grow_without_bound_while_gradients_agree_and_shrink_while_they_alternate():
    def final_size(sign):
        weight = nn.Parameter(torch.zeros(4, 2))
        optimizer = AdaS([weight], lr=1e-3, lr2=0.05)
        run(weight, optimizer, [torch.full((4, 2), sign**t) for t in range(400)])
        return optimizer.state[weight]["step_sizes"].mean().item()

    assert final_size(1.0) > 1
    assert final_size(-1.0) < 1e-3


def test_gradients_of_rounding_size_are_brought_to_full_size():
    # Why a bias before batch normalisation wanders. The first u is 1 / (1 + eps / (g sqrt(1 - b1))): 0.9968 for 1e-4.
    steps = []
    for size in (1.0, 1e-4):
        weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        run(weight, AdaS([weight]), [torch.full((1,), size, dtype=torch.float64)])
        steps.append(weight.item())
    assert steps[0] == pytest.approx(-1e-3, rel=1e-6)
    assert steps[1] == pytest.approx(-0.9968e-3, rel=1e-4)


def test_state_survives_saving_bit_for_bit(tmp_path):
    torch.manual_seed(0)
    weight, gradients = nn.Parameter(torch.randn(3, 2)), torch.randn(20, 3, 2)
    optimizer = AdaS([weight], lr=0.01)
    run(weight, optimizer, gradients[:10])
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    resumed_weight = copy.deepcopy(weight)
    resumed = AdaS([resumed_weight], lr=0.01)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    run(weight, optimizer, gradients[10:])
    run(resumed_weight, resumed, gradients[10:])
    assert torch.equal(weight, resumed_weight)
    for name, value in optimizer.state[weight].items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(resumed.state[resumed_weight][name]))


def test_groups_start_from_their_own_rates():
    slow, fast = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer = AdaS([{"params": [slow], "lr": 1e-4}, {"params": [fast]}], lr=4e-4)
    slow.grad = fast.grad = torch.ones(1)
    optimizer.step()
    assert fast.item() / slow.item() == pytest.approx(4, rel=1e-5)


def test_parameters_without_a_gradient_stay_and_closures_are_evaluated():
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = AdaS([used, unused])

    def closure():
        optimizer.zero_grad()
        loss = used.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2
    assert torch.equal(unused.detach(), torch.ones(2))
    assert unused not in optimizer.state
    assert used.max() < 1


def test_schedulers_are_refused_when_they_change_the_rate():
    weight = nn.Parameter(torch.zeros(1))
    optimizer = AdaS([weight])
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    run(weight, optimizer, [torch.ones(1)])
    scheduler.step()
    with pytest.raises(ConfigurationError, match=r"lr was changed after the start : AdaS : .* use no scheduler"):
        optimizer.step()


def test_sparse_gradients_are_refused():
    layer = nn.Embedding(3, 2, sparse=True)
    layer(torch.tensor([1])).sum().backward()
    with pytest.raises(ConfigurationError, match="sparse gradient"):
        AdaS(layer.parameters()).step()


@pytest.mark.parametrize("wrong", [{"lr": -1}, {"lr2": math.nan}, {"lr3": math.inf}, {"eps": -1e-8}, {"b1": 1.0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigurationError, match=f"{next(iter(wrong))} is"):
        AdaS([nn.Parameter(torch.zeros(1))], **wrong)
