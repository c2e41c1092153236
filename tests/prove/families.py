"""Small trainings of the bundles of GANs, equal for equal arguments, and a digest of all they hold."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from ignite.engine import Events
from ignite.utils import manual_seed
from monai.bundle import ConfigParser
from monai.transforms import RandScaleIntensity
from torch.utils.data import Dataset


class Images(Dataset):
    """Noise as `{"image", "label"}`, scaled at random by a MONAI transform where asked for."""

    def __init__(self, count=24, size=32, manifest="a" * 64, augment=False):
        self.images = torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
        self.transforms = [RandScaleIntensity(0.5, prob=1.0).set_random_state(0)] if augment else []
        self.classes = ["NORMAL", "PNEUMONIA"]
        self.summary = {"manifest_sha256": manifest}

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = self.images[index]
        for transform in self.transforms:
            image = torch.as_tensor(transform(image))
        return {"image": image, "label": index % 2}


BUNDLES = Path(__file__).parents[2] / "bundles"
FAMILIES = {
    "dcgan": {"width": 4, "augment": "adaptive"},
    "acgan": {"width": 4},
    "msg_sagan": {"width": 16, "latent_size": 16, "attention_sizes": [16]},
    "iagan": {"width": 8, "latent_size": 16},
    "stylegan2": {"width": 4, "latent_size": 16},
}


def train(family="dcgan", *, max_epochs=2, handlers=(), workers=0, width=None, dataset=None):
    """Give the engine of a family's bundle, small and on noise."""
    parser = ConfigParser()
    parser.read_config(BUNDLES / f"chest_xray_{family}" / "configs" / "train.yaml")
    small = {"device": "cpu", "precision": "float32", "image_size": 32, "batch_size": 4, **FAMILIES[family]}
    for name, value in {**small, "workers": workers, "max_epochs": max_epochs}.items():
        parser[name] = value
    if width:
        parser["width"] = width
    parser["train::dataset"] = Images() if dataset is None else dataset
    parser["train::handlers"] = list(handlers)
    manual_seed(0)
    return parser.get_parsed_content("train::trainer")


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
