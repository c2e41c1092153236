"""Trains a classifier or an encoder: MONAI's supervised trainer with the recipe of a ViT."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from ignite import distributed as idist
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.utils.enums import CommonKeys
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from monai_xr.engines.host import pick_device, pick_precision
from monai_xr.engines.player import autocast, copy_from_first_rank, settle, take_step
from monai_xr.engines.shared import StepOutput, average_of, flat, run_to_outcome, update_average
from monai_xr.handlers.events import RunEvents
from monai_xr.optimizers.layer_decay import set_learning_rate, warm_cosine
from monai_xr.settings import parse_count

Augment = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]


class ClassifierEngine(SupervisedTrainer):
    """Trains a classifier, or an encoder on two views of each film; MONAI and ignite handlers attach as usual.

    The learning rate warms up and falls by half a cosine to the last epoch; raising `max_epochs` on resume moves it.
    Under several processes each takes its own share of the films and draws its own alterations; gradients are averaged,
    and the running statistics of the first process replace the others' at the end of an epoch.
    After an iteration `state.output`, a `StepOutput`, holds `losses` (`classifier/total`), `loss`, `image`, `label`,
    `pred`.

    Args:
        device: Where to train: a device or its name, "auto" takes CUDA where there is one.
        max_epochs: Epochs to reach, counted from the first start of the run.
        train_data_loader: Gives `image` (B, 1, H, W) in [-1, 1] and `target` (B, C), or in its place `label` (B,).
        network: Moved to `device`.
        optimizer: Over its parameters; its learning rates, or `peak_lr` of its groups, are the highest ones.
        loss_function: Of logits and targets.
        augment: Alters images and targets, and may give several of each; None leaves them.
        warm_epochs: Of the learning rate.
        ema_decay: Decay of the running average of the network, per iteration; 0 keeps none.
        gradient_clip: Largest norm of the gradient; 0 for none.
        precision: Of autocast, see `pick_precision`.
        channels_last: Memory format of network and images.
        seed: Of the augmentation.
        train_handlers: Attached in order, lists in it, too.
        player: Before the name of the loss.
    """

    network: nn.Module

    def __init__(
        self,
        *,
        device: str | torch.device,
        max_epochs: int,
        train_data_loader: DataLoader[Any],
        network: nn.Module,
        optimizer: Optimizer,
        loss_function: nn.Module,
        augment: Augment | None = None,
        warm_epochs: float = 1.0,
        ema_decay: float = 0.99,
        gradient_clip: float = 1.0,
        precision: str = "auto",
        channels_last: bool = True,
        seed: int = 0,
        train_handlers: Sequence[Any] | None = None,
        player: str = "classifier",
    ) -> None:
        device, epochs = pick_device(device), parse_count(max_epochs, "max_epochs")
        learned = {"network": network, "optimizer": optimizer, "loss_function": loss_function}
        loader = {"train_data_loader": train_data_loader, "decollate": False}
        super().__init__(device=device, max_epochs=epochs, **loader, **learned)
        self.register_events(*RunEvents)
        self.memory_format = settle((network,), device, channels_last=channels_last)
        self.augment, self.player = augment, player
        self.warm_epochs, self.gradient_clip = float(warm_epochs), float(gradient_clip)
        self.ema_decay, self.ema_network = average_of(network, ema_decay)
        self.precision = pick_precision(precision, device)
        scaling = self.precision is torch.float16 and device.type == "cuda"
        self.gradient_scaler = torch.amp.GradScaler(device.type, enabled=scaling)
        self.random_source = torch.Generator().manual_seed(parse_count(seed, "seed", least=0) + idist.get_rank())
        self.kept: dict[str, Any] = {}  # by handlers, to be saved with the rest
        sampler: Any = getattr(train_data_loader, "sampler", None)
        if hasattr(sampler, "set_epoch"):
            self.add_event_handler(Events.EPOCH_STARTED, lambda: sampler.set_epoch(self.state.epoch))
        self.add_event_handler(Events.EPOCH_COMPLETED, self._equal_ranks)
        self._register_handlers(flat(train_handlers))

    def run(self) -> None:
        """Train up to `max_epochs`; whatever ends the run, `RunEvents.STOPPED` fires once with `state.outcome` set."""
        run_to_outcome(self, super().run)

    @property
    def best_guess(self) -> nn.Module:
        """The network to judge: the running average where one is kept."""
        return self.ema_network or self.network

    @property
    def trained_network(self) -> nn.Module:
        """What a training is for: the network that validated best, where that is watched."""
        best: nn.Module = self.kept.get("best_network", self.best_guess)
        return best

    def objects_to_save(self) -> dict[str, Any]:
        """Everything with a `state_dict` that a training needs to go on, by name."""
        saved = {"network": self.network, "optimizer": self.optimizer, "gradient_scaler": self.gradient_scaler}
        if self.ema_network is not None:
            saved["ema_network"] = self.ema_network
        return {**saved, **self.kept}

    def random_sources(self) -> dict[str, torch.Generator]:
        """The engine's own random generators, by name."""
        return {"augmentation": self.random_source}

    def _iteration(self, engine: Any, batchdata: Any) -> StepOutput:
        network, device = self.network, self.state.device
        network.train()
        images = batchdata["image"].to(device, memory_format=self.memory_format, non_blocking=self.non_blocking)
        targets = batchdata["target" if "target" in batchdata else "label"].to(device, non_blocking=self.non_blocking)
        if self.augment is not None:
            images, targets = self.augment(images, targets, self.random_source)
        output = self.state.output = {CommonKeys.IMAGE: images, CommonKeys.LABEL: targets}
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(device, self.precision):
            output[CommonKeys.PRED] = self.inferer(images, network)
            self.fire_event(IterationEvents.FORWARD_COMPLETED)
            loss = self.loss_function(output[CommonKeys.PRED], targets)
        self.fire_event(IterationEvents.LOSS_COMPLETED)
        torch.autograd.backward(self.gradient_scaler.scale(loss))
        self.fire_event(IterationEvents.BACKWARD_COMPLETED)
        self._step()
        told = {CommonKeys.LOSS: loss, "losses": {f"{self.player}/total": loss.detach()}}
        self.state.output = whole = StepOutput({**output, **told})
        self.fire_event(IterationEvents.MODEL_COMPLETED)
        return whole

    def _equal_ranks(self) -> None:
        copy_from_first_rank(network for network in (self.network, self.ema_network) if network is not None)

    def _step(self) -> None:
        """Update network and average at the learning rate of this iteration."""
        length = self.state.epoch_length or 1
        warm = round(self.warm_epochs * length)
        share = warm_cosine(self.state.iteration - 1, warm_steps=warm, steps=length * (self.state.max_epochs or 1))
        set_learning_rate(self.optimizer, share)
        take_step(self.network, self.optimizer, self.gradient_scaler, clip=self.gradient_clip)
        if self.ema_network is not None:
            update_average(self.ema_network, self.network, decay=self.ema_decay, step=self.state.iteration)
