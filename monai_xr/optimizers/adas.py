"""The optimiser AdaS, whose step sizes are themselves learned.

Source: the public code `YanaiEliyahu/AdasOptimizer` (PyTorch version of 2021-01-20), used by the empirical study
(DOI 10.1109/ICIIBMS55689.2022.9971542). It is not the other AdaS, of Hosseini and Plataniotis.

For each parameter W with gradient g there are step sizes S of shape W.shape[1:] (one for a 1-D W), a rate q, running
means M (of shape W) and MS (of shape S), and step t. With norm(x) = x sqrt(1 - b1^t) / (sqrt(v) + eps), where each x
has its own v <- b1 v + (1 - b1) x^2 and b1 serves all three:

1. u = norm(g); W <- W - S u
2. k1 = sum over the first axis of M g, with M from before this step; M <- b3 M + (1 - b3) u
3. uS = norm(k1); S <- S + q S uS
4. k2 = sum of MS k1, with MS from before this step; MS <- b2 MS + (1 - b2) uS
5. q <- q + lr3 q norm(k2)

Known of the method: nothing bounds S, and it grows as long as gradients agree, so watch for divergence, most of all
with the two opposing losses of a GAN. Transposed convolutions keep their weights as (in, out, k, k), so their step
sizes go by output. A bias before batch normalisation has rounding noise for a gradient, which norm() brings to full
size. Two time scales (TTUR) are two optimisers with different `lr`.
"""

from collections.abc import Callable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from monai_xr.errors import ConfigurationError


class AdaS(Optimizer):
    """The optimiser of this module.

    Differs from the published code: `lr`, `lr2` and `lr3` may differ between parameter groups, which that code
    ignores; a learning-rate scheduler, which it also ignores, is refused.

    Args:
        params: Parameters or parameter groups.
        lr: Where step sizes S start.
        lr2: Where the rates q of the step sizes start.
        lr3: Rate of q, fixed.
        b1: Decay of all second moments.
        b2: Decay of MS.
        b3: Decay of M; 1 / (1 - b3) should grow with the number of steps of the training.
        eps: Keeps norm() finite.

    Raises:
        ConfigurationError: If a rate or `eps` is negative or a decay is not in [0, 1), from `step` if a group's `lr`
            was changed after the start or a gradient is sparse.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        *,
        lr2: float = 5e-3,
        lr3: float = 5e-4,
        b1: float = 0.999,
        b2: float = 0.999,
        b3: float = 0.9999,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, {"lr": lr, "lr2": lr2, "lr3": lr3, "b1": b1, "b2": b2, "b3": b3, "eps": eps})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group after checking its settings."""
        settings = self.defaults | param_group
        for name in ("lr", "lr2", "lr3", "eps"):
            if not 0 <= settings[name] < float("inf"):
                raise ConfigurationError(f"{name} is {settings[name]}", "AdaS", "0 or more")
        for name in ("b1", "b2", "b3"):
            if not 0 <= settings[name] < 1:
                raise ConfigurationError(f"{name} is {settings[name]}", "AdaS", "at least 0 and below 1")
        super().add_param_group({**param_group, "starting_lr": settings["lr"]})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update all parameters that have a gradient.

        Args:
            closure: Evaluates the loss again and gives it.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group["lr"] != group["starting_lr"]:
                raise ConfigurationError(
                    "lr was changed after the start", "AdaS", "it learns its step sizes: use no scheduler"
                )
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if parameters:
                _update(parameters, [self._state_of(parameter, group) for parameter in parameters], group)
        return loss

    def _state_of(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state: dict[str, Any] = self.state[parameter]
        if not state:
            sizes = torch.full_like(parameter if parameter.ndim == 0 else parameter[0], group["lr"])
            rate = parameter.new_full((), group["lr2"])
            state |= {"step": 0, "step_sizes": sizes, "rate": rate}
            state |= {"moment": torch.zeros_like(parameter), "size_moment": torch.zeros_like(sizes)}
            state |= {"square": torch.zeros_like(parameter), "size_square": torch.zeros_like(sizes)}
            state["rate_square"] = torch.zeros_like(rate)
        state["step"] += 1
        return state


def _update(parameters: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]) -> None:
    """Make the five steps of the module's docstring for all parameters of a group at once."""
    gradients = [_dense(parameter) for parameter in parameters]
    corrections = [(1 - group["b1"] ** state["step"]) ** 0.5 for state in states]

    def all_of(name: str) -> list[Tensor]:
        return [state[name] for state in states]

    def norm(values: list[Tensor], squares: list[Tensor]) -> list[Tensor]:
        torch._foreach_mul_(squares, group["b1"])
        torch._foreach_addcmul_(squares, values, values, 1 - group["b1"])
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, group["eps"])
        normed = torch._foreach_div(values, roots)
        torch._foreach_mul_(normed, corrections)
        return list(normed)

    sizes, rates, moments, size_moments = (all_of(n) for n in ("step_sizes", "rate", "moment", "size_moment"))
    updates = norm(gradients, all_of("square"))
    torch._foreach_sub_(parameters, torch._foreach_mul(updates, sizes))

    size_gradients = [product.sum(0) for product in torch._foreach_mul(moments, gradients)]
    _move(moments, updates, group["b3"])
    size_updates = norm(size_gradients, all_of("size_square"))
    growth = torch._foreach_mul(torch._foreach_mul(sizes, size_updates), rates)
    torch._foreach_add_(sizes, growth)

    rate_gradients = [product.sum() for product in torch._foreach_mul(size_moments, size_gradients)]
    _move(size_moments, size_updates, group["b2"])
    rate_updates = norm(rate_gradients, all_of("rate_square"))
    torch._foreach_addcmul_(rates, rates, rate_updates, group["lr3"])


def _move(means: list[Tensor], values: list[Tensor], decay: float) -> None:
    """Move running means towards values."""
    torch._foreach_mul_(means, decay)
    torch._foreach_add_(means, values, alpha=1 - decay)


def _dense(parameter: Tensor) -> Tensor:
    gradient = parameter.grad
    if gradient is None or gradient.is_sparse:
        raise ConfigurationError("a sparse gradient", "AdaS", "use sparse=False in embeddings")
    return gradient
