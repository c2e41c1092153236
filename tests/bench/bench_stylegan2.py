"""A training's time for 192 images: the narrow StyleGAN2 beside the DCGAN at full width, each as its bundle says.

64 px, one thread, precision as picked; the penalty that StyleGAN2 takes every 16th iteration is in by turns.
"""

import sys

from bench_families import BUNDLES, engine
from pairs import compare

IMAGES = 192


def epochs_of(family, batch):
    """Give a job: one more epoch of `IMAGES` images."""
    (config,) = (path for path in BUNDLES if path.parents[1].name == f"chest_xray_{family}")
    trainer = engine(config, size=64, batch=batch, steps=IMAGES // batch, device="cpu", width=None, way={})

    def job():
        trainer.state.max_epochs = (trainer.state.epoch or 0) + 1
        trainer.run()

    return job


if __name__ == "__main__":
    sys.exit(
        not compare("192 images, StyleGAN2 to DCGAN", epochs_of("stylegan2", 32), epochs_of("dcgan", 64), 1.25, 12)
    )
