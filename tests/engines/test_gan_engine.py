import copy

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from monai_xr.engines import GanEngine
from monai_xr.errors import ConfigurationError
from monai_xr.handlers import RunEvents
from monai_xr.losses import Objective, non_saturating_discriminator, non_saturating_generator
from monai_xr.networks import DCGANDiscriminator, DCGANGenerator

OBJECTIVE = Objective({"adversarial": non_saturating_discriminator}, {"adversarial": non_saturating_generator})


def adam(network: torch.nn.Module) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999))


def make_engine(images: torch.Tensor, normalization="batch", **settings) -> GanEngine:
    torch.manual_seed(0)
    shape = {"image_size": 32, "width": 4, "normalization": normalization}
    generator, discriminator = DCGANGenerator(**shape), DCGANDiscriminator(**shape)
    wiring = {
        "device": "cpu",
        "max_epochs": 1,
        "train_data_loader": DataLoader(images, batch_size=4),
        "generator": generator,
        "discriminator": discriminator,
        "objective": OBJECTIVE,
        "generator_optimizer": adam(generator),
        "discriminator_optimizer": adam(discriminator),
        "precision": "float32",
        "channels_last": False,
    }
    return GanEngine(**{**wiring, **settings})


@pytest.fixture
def images():
    return torch.rand(10, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_engine_equals_the_textbook_loop(images):
    # without batch norm: the gradient of a bias before it is rounding noise, which Adam blows up to full size
    engine = make_engine(images, normalization="none", ema_decay=0)
    generator, discriminator = copy.deepcopy(engine.generator), copy.deepcopy(engine.discriminator)
    g_optimizer, d_optimizer = adam(generator), adam(discriminator)
    source = torch.Generator().manual_seed(0)
    for reals in DataLoader(images, batch_size=4):
        fakes = generator(torch.randn(len(reals), 100, generator=source))[0]
        d_optimizer.zero_grad()
        ones, zeros = torch.ones(len(reals)), torch.zeros(len(reals))
        real_loss = F.binary_cross_entropy_with_logits(discriminator([reals]).score, ones)
        fake_loss = F.binary_cross_entropy_with_logits(discriminator([fakes.detach()]).score, zeros)
        (real_loss + fake_loss).backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(discriminator([fakes]).score, ones).backward()
        g_optimizer.step()
    engine.run()
    for ours, theirs in ((engine.generator, generator), (engine.discriminator, discriminator)):
        for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=name)


def test_incomplete_last_batch_gets_as_many_fakes(images):
    engine = make_engine(images)
    engine.run()
    assert engine.state.output["reals"].shape == engine.state.output["fakes"].shape == (2, 1, 32, 32)


def test_critic_steps_update_the_discriminator_that_often(images):
    engine = make_engine(images, critic_steps=3)
    engine.run()
    steps = [next(iter(o.state.values()))["step"].item() for o in (engine.discriminator_optimizer, engine.optimizer)]
    assert steps == [9, 3]


def test_generator_step_leaves_no_gradient_on_the_discriminator(images):
    engine = make_engine(images)
    seen = []

    def watch(step):
        seen.append([p.requires_grad for p in step.discriminator.parameters()])
        return non_saturating_generator(step)

    engine.objective = Objective(OBJECTIVE.discriminator, {"adversarial": watch})
    engine.run()
    assert not any(any(flags) for flags in seen)
    assert all(p.requires_grad for p in engine.discriminator.parameters())


def test_average_follows_its_formula(images):
    engine = make_engine(images[:4], ema_decay=0.5)
    before = [p.clone() for p in engine.generator.parameters()]
    engine.run()
    decay = min(0.5, 2 / 11)  # the first iteration: (1 + 1) / (10 + 1)
    after = list(engine.generator.parameters())
    for kept, a, b in zip(engine.ema_generator.parameters(), before, after, strict=True):
        torch.testing.assert_close(kept, decay * a + (1 - decay) * b)
    assert engine.sampling_generator is engine.ema_generator


def test_every_named_loss_is_reported_and_totals_are_their_sums(images):
    engine = make_engine(images)
    engine.objective = Objective(
        {
            "adversarial": non_saturating_discriminator,
            "drift": lambda step: 0.001 * step.real_output.score.square().mean(),
        },
        OBJECTIVE.generator,
    )
    engine.run()
    losses = engine.state.output["losses"]
    assert set(losses) == {
        "discriminator/adversarial",
        "discriminator/drift",
        "discriminator/total",
        "generator/adversarial",
        "generator/total",
    }
    total = losses["discriminator/adversarial"] + losses["discriminator/drift"]
    torch.testing.assert_close(losses["discriminator/total"], total)
    assert not any(loss.requires_grad for loss in losses.values())


def test_bfloat16_channels_last_trains_finitely(images):
    engine = make_engine(images, precision="bfloat16", channels_last=True)
    engine.run()
    assert all(torch.isfinite(loss) for loss in engine.state.output["losses"].values())
    assert all(p.dtype == torch.float32 for p in engine.generator.parameters())


def test_the_same_seed_gives_the_same_weights(images):
    first, second = make_engine(images), make_engine(images)
    first.run()
    second.run()
    for a, b in zip(first.generator.parameters(), second.generator.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(None, "finished"), (ValueError, "failed"), (KeyboardInterrupt, "stopped"), (SystemExit, "stopped")],
)
def test_stopped_fires_once_and_tells_how_the_run_ended(images, error, outcome):
    engine, told = make_engine(images), []
    engine.add_event_handler(RunEvents.STOPPED, lambda e: told.append(e.state.outcome))

    def term(step):
        if error:
            raise error
        return non_saturating_generator(step)

    engine.objective = Objective(OBJECTIVE.discriminator, {"adversarial": term})
    if error:
        with pytest.raises(error):
            engine.run()
    else:
        engine.run()
    assert told == [outcome]


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_absent_cuda_is_refused_and_never_replaced(images):
    with pytest.raises(ConfigurationError, match="0 CUDA devices found"):
        make_engine(images, device="cuda")


@pytest.mark.parametrize("setting", [{"device": "gpu"}, {"precision": "int8"}, {"max_epochs": 0}, {"critic_steps": 0}])
def test_impossible_settings_are_refused(images, setting):
    with pytest.raises(ConfigurationError):
        make_engine(images, **setting)
