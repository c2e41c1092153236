"""What GanEngine costs over a plain PyTorch loop of the same step, and what reduced precision gains on this CPU.

DCGAN at 64 px, width 64, batch 64, one thread; two iterations a measurement.
"""

import torch
import torch.nn.functional as F
from pairs import compare

from monai_xr.engines import GanEngine, pick_precision
from monai_xr.handlers import EpochLosses, StopOnNonFinite
from monai_xr.losses import Objective, non_saturating_discriminator, non_saturating_generator
from monai_xr.networks import DCGANDiscriminator, DCGANGenerator

STEPS, BATCH = 2, 64
OBJECTIVE = Objective({"adversarial": non_saturating_discriminator}, {"adversarial": non_saturating_generator})


def adam(network):
    return torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999))


def engine(images, precision, channels_last):
    generator, discriminator = DCGANGenerator(), DCGANDiscriminator()
    return GanEngine(
        device="cpu",
        max_epochs=1,
        train_data_loader=images,
        generator=generator,
        discriminator=discriminator,
        objective=OBJECTIVE,
        generator_optimizer=adam(generator),
        discriminator_optimizer=adam(discriminator),
        precision=precision,
        channels_last=channels_last,
        train_handlers=[EpochLosses(), StopOnNonFinite()],
    ).run


def plain_loop(images, precision):
    """The same step written out, with the same averaged generator."""
    layout = torch.channels_last
    generator, discriminator = DCGANGenerator().to(memory_format=layout), DCGANDiscriminator().to(memory_format=layout)
    average = [p.detach().clone() for p in generator.parameters()]
    g_optimizer, d_optimizer = adam(generator), adam(discriminator)
    autocast = torch.autocast("cpu", dtype=precision, enabled=precision is not torch.float32)

    def run():
        for batch in images:
            reals = batch.to(memory_format=layout)
            d_optimizer.zero_grad(set_to_none=True)
            with autocast:
                fakes = generator(torch.randn(BATCH, 100))[0]
                real, fake = discriminator([reals]).score.float(), discriminator([fakes.detach()]).score.float()
                loss = F.softplus(-real).mean() + F.softplus(fake).mean()
            loss.backward()
            d_optimizer.step()
            g_optimizer.zero_grad(set_to_none=True)
            discriminator.requires_grad_(False)
            with autocast:
                loss = F.softplus(-discriminator([fakes]).score.float()).mean()
            loss.backward()
            discriminator.requires_grad_(True)
            g_optimizer.step()
            with torch.no_grad():
                torch._foreach_lerp_(average, list(generator.parameters()), 0.001)

    return run


def main() -> bool:
    torch.manual_seed(0)
    images = [torch.rand(BATCH, 1, 64, 64) * 2 - 1 for _ in range(STEPS)]
    auto = pick_precision("auto", torch.device("cpu"))
    name = str(auto).removeprefix("torch.")
    ok = compare(
        f"GanEngine over a plain loop, DCGAN 64 px, {name}",
        engine(images, name, True),
        plain_loop(images, auto),
        bound=1.03,
    )
    if auto is torch.bfloat16:
        fast, slow = engine(images, "bfloat16", True), engine(images, "float32", False)
        ok &= compare("bfloat16 channels_last over float32, DCGAN 64 px", fast, slow, bound=1 / 1.3, pairs=10)
    return ok


if __name__ == "__main__":
    torch.set_num_threads(1)
    raise SystemExit(not main())
