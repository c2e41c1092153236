"""What ClassifierEngine costs over a plain PyTorch loop, what reading costs beside a step, what bfloat16 gains.

ViT tiny at 64 px, batch 64, one thread; two steps a measurement. Films are 64 px PNG files in the pixel cache.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from pairs import compare
from PIL import Image

from monai_xr.engines import ClassifierEngine, pick_precision
from monai_xr.handlers import EpochLosses, StopOnNonFinite
from monai_xr.losses import ClassLoss
from monai_xr.networks import make_classifier
from monai_xr.optimizers import layered_adamw
from monai_xr.transforms import Augmentation, labelled_films, xray_loader

STEPS, BATCH, SIZE = 2, 64, 64
NAMES = ("a", "b")


def classifier():
    network = make_classifier("vit_tiny_patch16_224", image_size=SIZE, classes=NAMES)
    return network, layered_adamw(network, learning_rate=1e-3)


def engine(batches, precision):
    network, optimizer = classifier()
    return ClassifierEngine(
        device="cpu",
        max_epochs=1,
        train_data_loader=batches,
        network=network,
        optimizer=optimizer,
        loss_function=ClassLoss(),
        precision=precision,
        train_handlers=[EpochLosses(), StopOnNonFinite()],
    ).run


def plain_loop(batches, precision):
    """The same step written out, with the same averaged network, clipping and schedule."""
    network, optimizer = classifier()
    network.to(memory_format=torch.channels_last).train()
    average = [p.detach().clone() for p in network.parameters()]
    autocast = torch.autocast("cpu", dtype=precision, enabled=precision is not torch.float32)

    def run():
        for step, batch in enumerate(batches):
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 * (step + 1) / STEPS
            optimizer.zero_grad(set_to_none=True)
            with autocast:
                logits = network(batch["image"].to(memory_format=torch.channels_last))
            F.cross_entropy(logits.float(), batch["target"]).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            with torch.no_grad():
                torch._foreach_lerp_(average, list(network.parameters()), 0.01)

    return run


def input_pipeline(folder):
    """Read, put into batches and augment as many films as the steps take."""
    draw = np.random.default_rng(0)
    for index in range(STEPS * BATCH):
        path = folder / NAMES[index % 2] / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (SIZE, SIZE), np.uint8)).save(path)
    films = labelled_films(folder, split=None, image_size=SIZE, cache_dir=folder / "cache")
    loader, augment, source = xray_loader(films, BATCH), Augmentation(mixup=0.2), torch.Generator()

    def run():
        for batch in loader:
            augment(batch["image"], batch["target"], source)

    return run


def main() -> bool:
    torch.manual_seed(0)
    batches = [
        {"image": torch.rand(BATCH, 1, SIZE, SIZE) * 2 - 1, "target": torch.eye(2).repeat(BATCH // 2, 1)}
        for _ in range(STEPS)
    ]
    auto = pick_precision("auto", torch.device("cpu"))
    name = str(auto).removeprefix("torch.")
    fast = engine(batches, name)
    plain = plain_loop(batches, auto)
    ok = compare(f"ClassifierEngine over a plain loop, ViT tiny 64 px, {name}", fast, plain, bound=1.03, pairs=12)
    with tempfile.TemporaryDirectory() as folder:
        reading = input_pipeline(Path(folder))
        ok &= compare("reading and augmenting over the steps they feed", reading, fast, bound=0.05, pairs=12)
    if auto is torch.bfloat16:
        slow = engine(batches, "float32")
        ok &= compare("bfloat16 over float32, ViT tiny 64 px", fast, slow, bound=1.0, pairs=6)
    return ok


if __name__ == "__main__":
    torch.set_num_threads(1)
    raise SystemExit(not main())
