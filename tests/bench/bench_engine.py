"""What GanEngine costs beside a plain loop and MONAI's GanTrainer; what reduced precision gains; what saving costs.

DCGAN at 64 px, width 64, batch 32, and MSG-GAN at 64 px, width 64, batch 16; one thread; two iterations a measurement.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from monai.engines import GanTrainer
from pairs import compare
from torch.utils.data import DataLoader

from monai_xr import losses
from monai_xr.engines import GanEngine, pick_precision
from monai_xr.handlers import EpochLosses, StopOnNonFinite
from monai_xr.networks import DCGANDiscriminator, DCGANGenerator, MSGGANDiscriminator, MSGGANGenerator
from monai_xr.runs.checkpoint_files import save_checkpoint

STEPS = 2


class Family(NamedTuple):
    """Networks, batch and objective of a family, and the same losses of scores written out."""

    name: str
    batch: int
    generator: Callable[[], Any]
    discriminator: Callable[[], Any]
    objective: losses.Objective
    discriminator_loss: Callable[[Any, Any], Any]
    generator_loss: Callable[[Any, Any], Any]
    relativistic: bool


DCGAN = Family(
    "DCGAN",
    32,
    DCGANGenerator,
    DCGANDiscriminator,
    losses.Objective(
        {"adversarial": losses.non_saturating_discriminator}, {"adversarial": losses.non_saturating_generator}
    ),
    lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
    lambda real, fake: F.softplus(-fake).mean(),
    relativistic=False,
)
MSG_GAN = Family(
    "MSG-GAN",
    16,
    lambda: MSGGANGenerator(width=64, latent_size=64),
    lambda: MSGGANDiscriminator(width=64),
    losses.Objective(
        {"adversarial": losses.relativistic_hinge_discriminator}, {"adversarial": losses.relativistic_hinge_generator}
    ),
    lambda real, fake: F.relu(1 - real + fake.mean()).mean() + F.relu(1 + fake - real.mean()).mean(),
    lambda real, fake: F.relu(1 + real - fake.mean()).mean() + F.relu(1 - fake + real.mean()).mean(),
    relativistic=True,
)


def adam(network):
    return torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999))


def engine(family, images, precision, channels_last=True, ema_decay=0.999):
    generator, discriminator = family.generator(), family.discriminator()
    return GanEngine(
        device="cpu",
        max_epochs=1,
        train_data_loader=images,
        generator=generator,
        discriminator=discriminator,
        objective=family.objective,
        generator_optimizer=adam(generator),
        discriminator_optimizer=adam(discriminator),
        ema_decay=ema_decay,
        precision=precision,
        channels_last=channels_last,
        train_handlers=[EpochLosses(), StopOnNonFinite()],
    )


def plain_loop(family, images, precision):
    """The same step written out, with the same averaged generator."""
    layout = torch.channels_last
    generator = family.generator().to(memory_format=layout)
    discriminator = family.discriminator().to(memory_format=layout)
    average = [p.detach().clone() for p in generator.parameters()]
    g_optimizer, d_optimizer = adam(generator), adam(discriminator)
    autocast = torch.autocast("cpu", dtype=precision, enabled=precision is not torch.float32)

    def score(pyramid):
        return discriminator(pyramid).score.float()

    def run():
        for batch in images:
            finest = batch.to(memory_format=layout)
            reals = [
                finest if size == finest.shape[-1] else F.adaptive_avg_pool2d(finest, size) for size in generator.sizes
            ]
            d_optimizer.zero_grad(set_to_none=True)
            with autocast:
                fakes = generator(torch.randn(len(finest), generator.latent_size))
                loss = family.discriminator_loss(score(reals), score([image.detach() for image in fakes]))
            loss.backward()
            d_optimizer.step()
            g_optimizer.zero_grad(set_to_none=True)
            discriminator.requires_grad_(False)
            with autocast:
                loss = family.generator_loss(score(reals) if family.relativistic else None, score(fakes))
            loss.backward()
            discriminator.requires_grad_(True)
            g_optimizer.step()
            with torch.no_grad():
                torch._foreach_lerp_(average, list(generator.parameters()), 0.001)

    return run


def gan_trainer(images):
    """MONAI's trainer on the same networks and losses; it runs the generator once for each player."""
    generator, discriminator = DCGANGenerator(), DCGANDiscriminator()
    return GanTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=images,
        g_network=generator,
        g_optimizer=adam(generator),
        g_loss_function=lambda fakes: DCGAN.generator_loss(None, discriminator([fakes]).score),
        g_inferer=lambda latents, network: network(latents)[0],
        d_network=discriminator,
        d_optimizer=adam(discriminator),
        d_loss_function=lambda fakes, reals: DCGAN.discriminator_loss(
            discriminator([reals]).score, discriminator([fakes.detach()]).score
        ),
        d_prepare_batch=lambda batch, device, non_blocking, **_: batch,
        latent_shape=generator.latent_size,
        optim_set_to_none=True,
        decollate=False,
    )


def checkpoint_share(bound=0.02, epoch_s=60.0, times=5):
    """Print the part of an epoch that saving DCGAN-64 takes, by the median; False above the bound."""
    trained = engine(DCGAN, loader(DCGAN), "float32")
    trained.run()
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for epoch in range(1, times + 1):
            begin = time.perf_counter()
            content = {"objects": {name: thing.state_dict() for name, thing in trained.objects_to_save().items()}}
            save_checkpoint(Path(folder), epoch, content, keep=2)
            seconds.append(time.perf_counter() - begin)
    share = statistics.median(seconds) / epoch_s
    holds = share <= bound
    print(
        f"{'ok  ' if holds else 'FAIL'} a checkpoint of DCGAN 64 px in an epoch of {epoch_s:g} s: "
        f"{1000 * statistics.median(seconds):.1f} ms = {share:.4f}, worst {max(seconds) / epoch_s:.4f}, "
        f"bound {bound:.3f}, {times} times"
    )
    return holds


def loader(family):
    return DataLoader(torch.rand(STEPS * family.batch, 1, 64, 64) * 2 - 1, batch_size=family.batch)


def main() -> bool:
    torch.manual_seed(0)
    auto = pick_precision("auto", torch.device("cpu"))
    name = str(auto).removeprefix("torch.")
    ok = True
    for family in (DCGAN, MSG_GAN):
        images = list(loader(family))
        ok &= compare(
            f"GanEngine over a plain loop, {family.name} 64 px, {name}",
            engine(family, images, name).run,
            plain_loop(family, images, auto),
            bound=1.03,
            pairs=12,
        )
    images = loader(DCGAN)
    ours = engine(DCGAN, images, "float32", channels_last=False, ema_decay=0).run
    ok &= compare(
        "GanEngine over MONAI's GanTrainer, DCGAN 64 px, float32", ours, gan_trainer(images).run, bound=1 / 1.1, pairs=6
    )
    if auto is torch.bfloat16:
        fast, slow = engine(DCGAN, images, "bfloat16").run, engine(DCGAN, images, "float32", channels_last=False).run
        ok &= compare("bfloat16 channels_last over float32, DCGAN 64 px", fast, slow, bound=1 / 1.3, pairs=6)
    ok &= checkpoint_share()
    return ok


if __name__ == "__main__":
    torch.set_num_threads(1)
    raise SystemExit(not main())
