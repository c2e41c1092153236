"""Fits the last layer of a pretrained network to all films at once, as a training of one iteration."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from monai.engines import Trainer
from monai.inferers import Inferer
from monai.utils.enums import CommonKeys
from torch import Tensor, nn
from torch.utils.data import DataLoader

from monai_xr.engines.host import pick_device
from monai_xr.engines.shared import StepOutput, flat, run_to_outcome
from monai_xr.handlers.events import RunEvents
from monai_xr.networks import XrayClassifier
from monai_xr.progress import progress_bar
from monai_xr.settings import parse_count


class Layer(Protocol):
    """A linear layer as arrays: weight (C, d) and bias (C,)."""

    weight: Any
    bias: Any


class ProbeEngine(Trainer):
    """Fits the head of a frozen classifier; a training is one epoch of one iteration, which sees all films.

    Handlers attach as to `ClassifierEngine`. After the iteration `state.output` holds `losses` (`classifier/total`) and
    `loss` over all films. Several processes do the same work each.

    Args:
        device: Where features are computed: a device or its name, "auto" takes CUDA where there is one.
        max_epochs: 1; more fit the same again.
        train_data_loader: Gives each film once: `image` (B, 1, H, W) in [-1, 1] and `target` (B, C).
        network: Moved to `device`; all but its head stays as it is.
        fit: Gives the head for features (N, d) and targets (N, C), both as arrays.
        loss_function: Of logits and targets, for the curves.
        inferer: Runs the network up to its head.
        train_handlers: Attached in order, lists in it, too.
    """

    def __init__(
        self,
        *,
        device: str | torch.device,
        max_epochs: Any,
        train_data_loader: DataLoader[Any],
        network: XrayClassifier,
        fit: Callable[[Any, Any], Layer],
        loss_function: nn.Module,
        inferer: Inferer,
        train_handlers: Sequence[Any] | None = None,
    ) -> None:
        place, epochs = pick_device(device), parse_count(max_epochs, "max_epochs")
        super().__init__(place, epochs, train_data_loader, epoch_length=1, decollate=False)
        self.register_events(*RunEvents)
        self.network = network.to(place).eval().requires_grad_(False)
        self.fit, self.loss_function, self.inferer = fit, loss_function, inferer
        self.kept: dict[str, Any] = {}  # by handlers, to be saved with the rest
        self._register_handlers(flat(train_handlers))

    def run(self) -> None:
        """Fit; whatever ends the run, `RunEvents.STOPPED` fires once with `state.outcome` set."""
        run_to_outcome(self, super().run)

    @property
    def best_guess(self) -> XrayClassifier:
        """The network to judge."""
        return self.network

    @property
    def trained_network(self) -> nn.Module:
        """What a training is for."""
        best: nn.Module = self.kept.get("best_network", self.network)
        return best

    def objects_to_save(self) -> dict[str, Any]:
        """Everything with a `state_dict` that a training needs to go on, by name."""
        return {"network": self.network, **self.kept}

    def random_sources(self) -> dict[str, torch.Generator]:
        """The engine's own random generators: none."""
        return {}

    @torch.no_grad()
    def _iteration(self, engine: Any, batchdata: Any) -> StepOutput:
        features, targets = self._features()
        found, head = self.fit(features.numpy(), targets.numpy()), self.network.backbone.get_classifier()
        head.weight.copy_(torch.as_tensor(found.weight))
        head.bias.copy_(torch.as_tensor(found.bias))
        logits = head(features.to(self.state.device)).cpu()
        loss = self.loss_function(logits, targets)
        output = {CommonKeys.PRED: logits, CommonKeys.LABEL: targets}
        return StepOutput({**output, CommonKeys.LOSS: loss, "losses": {"classifier/total": loss}})

    def _features(self) -> tuple[Tensor, Tensor]:
        """Give features (N, d) and targets (N, C) of all films, on the CPU."""
        found: list[tuple[Tensor, Tensor]] = []
        with progress_bar("films") as progress:
            for batch in self.data_loader:
                images = batch["image"].to(self.state.device)
                found.append((self.inferer(images, self.network.features).float().cpu(), batch["target"]))
                progress(sum(len(each) for _, each in found), len(self.data_loader.dataset))
        features, targets = zip(*found, strict=True)
        return torch.cat(features), torch.cat(targets)
