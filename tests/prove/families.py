"""Small trainings of the GAN families, equal for equal arguments, and a digest of all they hold."""

import hashlib
from collections.abc import Mapping

import torch
from ignite.engine import Events
from monai.transforms import RandScaleIntensity
from torch.utils.data import Dataset

from monai_xr.engines import GanEngine
from monai_xr.losses import Objective, non_saturating_discriminator, non_saturating_generator
from monai_xr.networks import DCGANDiscriminator, DCGANGenerator
from monai_xr.transforms import xray_loader


class Images(Dataset):
    """Noise as `{"image", "label"}`, scaled at random by a MONAI transform where asked for."""

    def __init__(self, count=24, size=32, manifest="a" * 64, augment=False):
        self.images = torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
        self.transforms = [RandScaleIntensity(0.5, prob=1.0).set_random_state(0)] if augment else []
        self.summary = {"manifest_sha256": manifest}

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = self.images[index]
        for transform in self.transforms:
            image = torch.as_tensor(transform(image))
        return {"image": image, "label": index % 2}


def dcgan(width):
    networks = DCGANGenerator(image_size=32, width=width), DCGANDiscriminator(image_size=32, width=width)
    return *networks, Objective({"a": non_saturating_discriminator}, {"a": non_saturating_generator})


FAMILIES = {"DCGAN": dcgan}


def train(family="DCGAN", *, max_epochs=2, handlers=(), workers=0, width=4, dataset=None, batch_size=4):
    """Give an engine; the seed is that of everything."""
    torch.manual_seed(0)
    generator, discriminator, objective = FAMILIES[family](width)
    return GanEngine(
        device="cpu",
        max_epochs=max_epochs,
        train_data_loader=xray_loader(dataset or Images(), batch_size, workers=workers),
        generator=generator,
        discriminator=discriminator,
        objective=objective,
        generator_optimizer=torch.optim.Adam(generator.parameters(), 1e-3),
        discriminator_optimizer=torch.optim.Adam(discriminator.parameters(), 1e-3),
        precision="float32",
        train_handlers=list(handlers),
    )


def digest(engine):
    """One number for all that `objects_to_save` holds, bit for bit."""
    found = hashlib.sha256()

    def add(thing):
        if isinstance(thing, Mapping):
            for key in sorted(thing, key=str):
                found.update(str(key).encode())
                add(thing[key])
        elif isinstance(thing, list | tuple):
            for one in thing:
                add(one)
        elif isinstance(thing, torch.Tensor):
            found.update(thing.detach().contiguous().numpy().tobytes())
        else:
            found.update(repr(thing).encode())

    add({name: thing.state_dict() for name, thing in engine.objects_to_save().items()})
    return found.hexdigest()


class At:
    """Calls something when an event of an iteration or epoch comes."""

    def __init__(self, event, number, action):
        self.event, self.number, self.action = event, number, action

    def attach(self, engine):
        engine.add_event_handler(self.event(once=self.number), self.action)


class Losses:
    """Notes the generator's loss of every iteration: equal only if images, latents and weights are."""

    def __init__(self):
        self.by_iteration = {}

    def attach(self, engine):
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.note)

    def note(self, engine):
        self.by_iteration[engine.state.iteration] = float(engine.state.output["loss"])
