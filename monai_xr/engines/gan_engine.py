"""One training engine for all GAN families: it owns when things happen, the objective owns what is minimised."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from monai.engines import Trainer
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from monai_xr.engines.host import pick_device, pick_precision
from monai_xr.errors import ConfigurationError
from monai_xr.handlers.events import RunEvents
from monai_xr.losses.objective import AdversarialStep, Objective, Term
from monai_xr.networks.interfaces import Discriminator, Generator
from monai_xr.settings import parse_count


class GanEngine(Trainer):
    """Trains a generator against a discriminator; a MONAI trainer, so MONAI and ignite handlers attach as usual.

    Each iteration makes `critic_steps` discriminator updates and one generator update. The fakes of the last
    discriminator update also serve the generator's, so with one critic step the generator runs forward once.
    After an iteration `state.output` holds `losses` (every named term, detached, as `generator/NAME` and
    `discriminator/NAME`), `loss` (the generator's sum), `reals` and `fakes` (finest scale, (B, C, H, W)).

    Args:
        device: Where to train: a device or its name, "auto" takes CUDA where there is one.
        max_epochs: Epochs to reach, counted from the first start of the run.
        train_data_loader: Gives batches (B, C, H, W) in [-1, 1], or dicts with them as `image`.
        generator: Moved to `device`.
        discriminator: Moved to `device`.
        objective: What each player minimises.
        generator_optimizer: Over the generator's parameters.
        discriminator_optimizer: Over the discriminator's parameters; TTUR is two learning rates.
        critic_steps: Discriminator updates per iteration.
        ema_decay: Decay of the running average of the generator, per iteration; 0 keeps none.
        precision: Of autocast, see `pick_precision`.
        channels_last: Memory format of networks and images; faster for convolutions in reduced precision.
        seed: Of the latents.
        train_handlers: Attached in order.
    """

    def __init__(
        self,
        *,
        device: str | torch.device,
        max_epochs: int,
        train_data_loader: DataLoader[Any],
        generator: Generator,
        discriminator: Discriminator,
        objective: Objective,
        generator_optimizer: Optimizer,
        discriminator_optimizer: Optimizer,
        critic_steps: int = 1,
        ema_decay: float = 0.999,
        precision: str = "auto",
        channels_last: bool = True,
        seed: int = 0,
        train_handlers: Sequence[Any] | None = None,
    ) -> None:
        device = pick_device(device)
        epochs = parse_count(max_epochs, "max_epochs")
        super().__init__(device=device, max_epochs=epochs, data_loader=train_data_loader, decollate=False)
        self.register_events(*RunEvents)
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.generator, self.discriminator = generator, discriminator
        for network in (generator, discriminator):
            network.to(device).to(memory_format=self.memory_format)
        self.objective = objective
        self.optimizer = self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer
        self.critic_steps = parse_count(critic_steps, "critic_steps")
        self.precision = pick_precision(precision, device)
        scaling = self.precision is torch.float16 and device.type == "cuda"
        self.scalers = {name: torch.amp.GradScaler(device.type, enabled=scaling) for name in ("generator", "critic")}
        self.latent_source = torch.Generator(device).manual_seed(int(seed))
        self.ema_decay = float(ema_decay)
        if not 0 <= self.ema_decay < 1:
            raise ConfigurationError(f"{ema_decay} is no decay", "ema_decay", "0 for none, or below 1")
        self.ema_generator = deepcopy(generator).eval().requires_grad_(False) if self.ema_decay else None
        self._register_handlers(train_handlers or [])

    def run(self) -> None:
        """Train up to `max_epochs`; whatever ends the run, `RunEvents.STOPPED` fires once with `state.outcome` set."""
        self.state.outcome = "finished"
        try:
            super().run()
        except Exception:
            self.state.outcome = "failed"
            raise
        except BaseException:
            self.state.outcome = "killed"
            raise
        finally:
            self.fire_event(RunEvents.STOPPED)

    @property
    def sampling_generator(self) -> Generator:
        """The generator to sample from: its running average where one is kept."""
        return self.ema_generator or self.generator

    def objects_to_save(self) -> dict[str, Any]:
        """Everything with a `state_dict` that a training needs to go on, by name."""
        saved: dict[str, Any] = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "generator_optimizer": self.generator_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
            **{f"{name}_scaler": scaler for name, scaler in self.scalers.items()},
        }
        if self.ema_generator:
            saved["ema_generator"] = self.ema_generator
        return saved

    def random_sources(self) -> dict[str, torch.Generator]:
        """The engine's own random generators, by name."""
        return {"latents": self.latent_source}

    def _iteration(self, engine: Any, batchdata: Any) -> dict[str, Any]:
        self.generator.train()
        self.discriminator.train()
        reals = self._pyramid(batchdata)
        losses: dict[str, Tensor] = {}
        for _ in range(self.critic_steps):
            fakes = self._fakes(reals[-1].shape[0])
            losses |= self._update_discriminator(reals, fakes)
        losses |= self._update_generator(reals, fakes)
        self._update_ema()
        return {
            "losses": losses,
            "loss": losses["generator/total"],
            "reals": reals[-1],
            "fakes": fakes[-1].detach(),
        }

    def _pyramid(self, batch: Any) -> list[Tensor]:
        """Real images at every scale of the generator, coarse to fine, by averaging pixels."""
        finest = batch["image"] if isinstance(batch, Mapping) else batch
        finest = finest.to(self.state.device, memory_format=self.memory_format, non_blocking=self.non_blocking)
        return [
            finest if size == finest.shape[-1] else F.adaptive_avg_pool2d(finest, size) for size in self.generator.sizes
        ]

    def _fakes(self, count: int) -> list[Tensor]:
        latents = torch.randn(count, self.generator.latent_size, generator=self.latent_source, device=self.state.device)
        with self._autocast():
            fakes: list[Tensor] = self.generator(latents)
        return fakes

    def _update_discriminator(self, reals: list[Tensor], fakes: list[Tensor]) -> dict[str, Tensor]:
        step = AdversarialStep(self.discriminator, reals, [image.detach() for image in fakes])
        optimizer, scaler = self.discriminator_optimizer, self.scalers["critic"]
        return self._update("discriminator", self.objective.discriminator, step, optimizer, scaler)

    def _update_generator(self, reals: list[Tensor], fakes: list[Tensor]) -> dict[str, Tensor]:
        step = AdversarialStep(self.discriminator, reals, fakes)
        optimizer, scaler = self.generator_optimizer, self.scalers["generator"]
        self.discriminator.requires_grad_(False)
        try:
            return self._update("generator", self.objective.generator, step, optimizer, scaler)
        finally:
            self.discriminator.requires_grad_(True)

    def _update(
        self,
        player: str,
        terms: Mapping[str, Term],
        step: AdversarialStep,
        optimizer: Optimizer,
        scaler: torch.amp.GradScaler,
    ) -> dict[str, Tensor]:
        """Minimise the sum of the player's terms by one optimiser step; give each term by name."""
        optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            losses = {name: term(step) for name, term in terms.items()}
        total = torch.stack([loss.float() for loss in losses.values()]).sum()
        torch.autograd.backward(scaler.scale(total))
        scaler.step(optimizer)
        scaler.update()
        losses["total"] = total
        return {f"{player}/{name}": loss.detach() for name, loss in losses.items()}

    @torch.no_grad()
    def _update_ema(self) -> None:
        """Move the averaged generator; early on the decay is (1 + t) / (10 + t), so that the start is forgotten."""
        if self.ema_generator is None:
            return
        step = self.state.iteration
        decay = min(self.ema_decay, (1 + step) / (10 + step))
        averaged, current = list(self.ema_generator.parameters()), list(self.generator.parameters())
        get_ema_multi_avg_fn(decay)(averaged, current, 0)  # type: ignore[no-untyped-call]
        for kept, buffer in zip(self.ema_generator.buffers(), self.generator.buffers(), strict=True):
            kept.copy_(buffer)

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision is torch.float32:
            return nullcontext()
        return torch.autocast(self.state.device.type, dtype=self.precision)
