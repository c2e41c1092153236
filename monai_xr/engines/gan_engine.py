"""One training engine for all GAN families: it owns when things happen, the objective owns what is minimised."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np
import torch
from ignite import distributed as idist
from ignite.engine import Events
from monai.engines import Trainer
from monai.engines.utils import IterationEvents
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader

from monai_xr.engines.host import compile_networks, pick_device, pick_precision
from monai_xr.engines.parts import Condition, Part, parts_of
from monai_xr.engines.player import Player, autocast, copy_from_first_rank, frozen, settle
from monai_xr.engines.shared import StepOutput, average_of, flat, run_to_outcome, update_average
from monai_xr.errors import ConfigurationError
from monai_xr.handlers.events import RunEvents
from monai_xr.inferers.sampling import LatentDataset, draw_samples
from monai_xr.losses import AdversarialStep, Augment, Objective
from monai_xr.losses.objective import Term, settings_text, terms_due, terms_text
from monai_xr.networks import Discriminator, Generator
from monai_xr.settings import parse_count, parse_number

_RECORDED = ("condition", "critic_steps", "micro_batches", "ema_decay", "gradient_clip")


class GanEngine(Trainer):
    """Trains a generator against a discriminator; a MONAI trainer, so MONAI and ignite handlers attach as usual.

    Each iteration makes `critic_steps` discriminator updates, each on the same reals and new fakes, and one generator
    update. The fakes of the last discriminator update also serve the generator's, so with one critic step the
    generator runs forward once. `state.output`, a `StepOutput`, then holds `losses` (terms as `generator/NAME` and
    `discriminator/NAME`), `loss` (the generator's sum), `reals` and `fakes` (finest scale, (B, C, H, W)), `real_scores`
    and `fake_scores` ((B,), of the last discriminator update).

    Under several processes each draws its own latents and trains on its own share of the images; gradients are
    averaged, so that all hold equal weights. Statistics of batch normalisation, of minibatch standard deviation and of
    relativistic losses are those of each process; the running ones of the first process replace the others' at the
    end of an epoch.

    Args:
        device: Where to train: a device or its name, "auto" takes CUDA where there is one.
        max_epochs: Epochs to reach, counted from the first start of the run.
        train_data_loader: Gives batches (B, C, H, W) in [-1, 1], or dicts with them as `image` and classes as `label`.
        generator: Moved to `device`.
        discriminator: Moved to `device`.
        objective: What each player minimises.
        generator_optimizer: Over the generator's parameters.
        discriminator_optimizer: Over the discriminator's parameters; TTUR is two learning rates.
        condition: What both networks are given beside latents and images: "none", the "labels" of the reals (ACGAN),
            or the real "images" themselves (IAGAN).
        critic_steps: Discriminator updates per iteration.
        micro_batches: Parts a batch is cut into, whose gradients are accumulated: as much memory as one part needs.
            Batch statistics are those of a part.
        gradient_clip: Largest length of each player's gradient; 0 leaves it.
        augment: What images go through before the discriminator, for small data sets.
        schedulers: Of learning rates, stepped after each epoch.
        ema_decay: Decay of the running average of the generator, per iteration; 0 keeps none.
        precision: Of autocast, see `pick_precision`.
        channels_last: Memory format of networks and images; faster for convolutions in reduced precision.
        compile_mode: "none", or a mode of torch.compile; "reduce-overhead" uses CUDA graphs.
        seed: Of latents and augmentations.
        train_handlers: Attached in order, lists in it, too; the state of those with a `state_dict` is saved as well.
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
        condition: Condition = "none",
        critic_steps: int = 1,
        micro_batches: int = 1,
        gradient_clip: float = 0.0,
        augment: Augment | None = None,
        schedulers: Mapping[str, LRScheduler] | None = None,
        ema_decay: float = 0.999,
        precision: str = "auto",
        channels_last: bool = True,
        compile_mode: str = "none",
        seed: int = 0,
        train_handlers: Sequence[Any] | None = None,
    ) -> None:
        device, epochs = pick_device(device), parse_count(max_epochs, "max_epochs")
        super().__init__(device=device, max_epochs=epochs, data_loader=train_data_loader, decollate=False)
        self.memory_format = settle((generator, discriminator), device, channels_last=channels_last)
        self.generator, self.discriminator, self.objective = generator, discriminator, objective
        self.optimizer = self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer
        self.precision = pick_precision(precision, device)
        self.gradient_clip = parse_number(gradient_clip, "gradient_clip")
        self.players = self._make_players()
        self.condition, self.critic_steps = _known_condition(condition), parse_count(critic_steps, "critic_steps")
        self.micro_batches = parse_count(micro_batches, "micro_batches")
        self.augment, self.schedulers = augment, dict(schedulers or {})
        self.latent_source, self.term_source = _sources(parse_count(seed, "seed", least=0), device)
        self.ema_decay, self.ema_generator = average_of(generator, ema_decay)
        compile_networks((generator, discriminator), compile_mode)
        self._attach(flat(train_handlers))

    def _make_players(self) -> dict[str, Player]:
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        optimizers = {"generator": self.generator_optimizer, "discriminator": self.discriminator_optimizer}
        return {
            name: Player(name, network, optimizers[name], self.precision, self.gradient_clip)
            for name, network in networks.items()
        }

    def _attach(self, handlers: Sequence[Any]) -> None:
        self.register_events(*RunEvents)
        self.add_event_handler(Events.EPOCH_COMPLETED, self._finish_epoch)
        self.watchers = {type(each).__name__: each for each in handlers if hasattr(each, "state_dict")}
        self._register_handlers(list(handlers))

    def run(self) -> None:
        """Train up to `max_epochs`; whatever ends the run, `RunEvents.STOPPED` fires once with `state.outcome` set."""
        run_to_outcome(self, super().run)

    @property
    def sampling_generator(self) -> Generator:
        """The generator to sample from: its running average where one is kept."""
        return self.ema_generator or self.generator

    @property
    def trained_network(self) -> Generator:
        """What a training is for: the generator to sample from."""
        return self.sampling_generator

    def sample(self, count: int, *, seed: int = 0, **settings: Any) -> Tensor:
        """Draw images (count, C, H, W) in [0, 1], on the CPU, without touching the training's own random numbers.

        Image i depends on `seed` and i. Of several classes each is drawn in turn; films that condition the generator
        are taken at even distances from the training set. `settings` go to the generator, as a truncation.
        """
        drawn = LatentDataset(count, self.generator.latent_size, seed, conditions=self._sample_conditions(count))
        at_once = self.data_loader.batch_size or count
        return draw_samples(drawn, self.sampling_generator, self.state.device, at_once, **settings)

    @property
    def details(self) -> dict[str, str]:
        """What the config made of networks, terms and optimisers: for the record, and to be the same on resume."""
        return {
            "generator": repr(self.generator),
            "discriminator": repr(self.discriminator),
            "objective": repr({name: terms_text(getattr(self.objective, name)) for name in self.players}),
            "generator_optimizer": f"{type(self.generator_optimizer).__name__} {self.generator_optimizer.defaults}",
            "discriminator_optimizer": (
                f"{type(self.discriminator_optimizer).__name__} {self.discriminator_optimizer.defaults}"
            ),
            "engine": repr({name: getattr(self, name) for name in _RECORDED}),
            "augmentation": settings_text(self.augment),
        }

    def objects_to_save(self) -> dict[str, Any]:
        """Everything with a `state_dict` that a training needs to go on, by name."""
        saved: dict[str, Any] = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "generator_optimizer": self.generator_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
            **{f"{name}_scaler": player.scaler for name, player in self.players.items()},
            **{f"{name}_scheduler": scheduler for name, scheduler in self.schedulers.items()},
            **self.objective.stateful_terms(),
            **self.watchers,
        }
        if self.ema_generator:
            saved["ema_generator"] = self.ema_generator
        if self.augment:
            saved["augment"] = self.augment
        return saved

    def random_sources(self) -> dict[str, torch.Generator]:
        """The engine's own random generators, by name."""
        return {"latents": self.latent_source, "terms": self.term_source}

    def _iteration(self, engine: Any, batchdata: Any) -> StepOutput:
        self.generator.train()
        self.discriminator.train()
        parts = self._parts(batchdata)
        losses: dict[str, Tensor] = {}
        for turn in range(self.critic_steps):
            latents = torch.chunk(self._latents(sum(map(len, parts))), len(parts))
            shared = len(parts) == 1 and turn == self.critic_steps - 1  # one forward serves both players
            fakes = [self._fakes(*each, gradient=shared) for each in zip(latents, parts, strict=True)]
            steps = [
                self._step(part, z, [image.detach() for image in made])
                for z, part, made in zip(latents, parts, fakes, strict=True)
            ]
            losses |= self.players["discriminator"].update(self._due("discriminator"), steps, parts=len(parts))
        real_scores = torch.cat([step.real_output.score.detach() for step in steps])
        fake_scores = torch.cat([step.fake_output.score.detach() for step in steps])
        if self.augment is not None and self.augment.adapts:  # by all processes' scores: they adapt alike
            self.augment.adapt(idist.all_gather(real_scores), idist.all_gather(fake_scores))
        with frozen(self.discriminator):
            again = (
                self._step(part, z, fakes[0] if shared else self._fakes(z, part, gradient=True))
                for z, part in zip(latents, parts, strict=True)
            )
            losses |= self.players["generator"].update(self._due("generator"), again, parts=len(parts))
        if self.ema_generator is not None:
            update_average(self.ema_generator, self.generator, decay=self.ema_decay, step=self.state.iteration)
        told = {"losses": losses, "loss": losses["generator/total"]}
        told |= {"real_scores": real_scores, "fake_scores": fake_scores}
        told["reals"] = torch.cat([part.reals[-1] for part in parts])
        told["fakes"] = torch.cat([made[-1] for made in fakes])
        self.state.output = output = StepOutput(told)
        self.fire_event(IterationEvents.MODEL_COMPLETED)
        return output

    def _due(self, player: str) -> dict[str, Term]:
        return terms_due(getattr(self.objective, player), self.state.iteration)

    def _parts(self, batch: Any) -> list[Part]:
        """The batch on the device, cut into micro-batches."""
        images, labels = (batch["image"], batch.get("label")) if isinstance(batch, Mapping) else (batch, None)
        images = images.as_subclass(Tensor)  # not MONAI's: what terms and augmentation keep must fit a checkpoint
        images = images.to(self.state.device, memory_format=self.memory_format, non_blocking=self.non_blocking)
        if labels is not None:
            labels = labels.to(self.state.device, non_blocking=self.non_blocking)
        elif self.condition == "labels":
            raise ConfigurationError("batches without labels", "condition", "train on data with classes")
        return parts_of(images, labels, self.condition, count=self.micro_batches, sizes=self.generator.sizes)

    def _latents(self, count: int) -> Tensor:
        return torch.randn(count, self.generator.latent_size, generator=self.latent_source, device=self.state.device)

    def _fakes(self, latents: Tensor, part: Part, *, gradient: bool) -> list[Tensor]:
        with torch.set_grad_enabled(gradient), autocast(latents.device, self.precision):
            fakes: list[Tensor] = self.generator(latents, part.condition)
        return fakes

    def _step(self, part: Part, latents: Tensor, fakes: list[Tensor]) -> AdversarialStep:
        return AdversarialStep(
            self.discriminator,
            part.reals,
            fakes,
            condition=part.condition,
            labels=part.labels,
            random=self.term_source,
            augment=self.augment,
            generator=self.generator,
            latents=latents,
        )

    def _finish_epoch(self) -> None:
        for scheduler in self.schedulers.values():
            scheduler.step()
        networks = (self.generator, self.discriminator, self.ema_generator)
        copy_from_first_rank(network for network in networks if network is not None)

    def _sample_conditions(self, count: int) -> list[Any] | None:
        """Conditions to draw `count` samples with, from the data set that is trained on."""
        if self.condition == "none":
            return None
        dataset: Any = self.data_loader.dataset
        if self.condition == "labels":
            named = dataset if hasattr(dataset, "classes") else dataset.data  # MONAI's data sets wrap others so
            return list(range(len(named.classes)))
        films = min(count, len(dataset))
        return [dataset[i * len(dataset) // films]["image"] for i in range(films)]


def _known_condition(condition: str) -> str:
    if condition not in get_args(Condition):
        raise ConfigurationError(f"unknown condition {condition!r}", "condition", "none, labels or images")
    return condition


def _sources(seed: int, device: torch.device) -> tuple[torch.Generator, torch.Generator]:
    """Give the random generators of latents and of terms, each a stream of its own in each process."""
    seed += idist.get_rank()
    apart = int(np.random.SeedSequence(seed).generate_state(1)[0])  # a CPU's generator reads 32 bits of a seed alone
    return torch.Generator(device).manual_seed(seed), torch.Generator(device).manual_seed(apart)
