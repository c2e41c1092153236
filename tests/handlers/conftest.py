"""A small engine whose output is scripted by each test."""

from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader

from monai_xr.engines import GanEngine
from monai_xr.losses import Objective, non_saturating_discriminator, non_saturating_generator
from monai_xr.networks import DCGANDiscriminator, DCGANGenerator


@pytest.fixture
def make_engine():
    """Build a small engine; equal arguments give equal engines."""

    def make(max_epochs=2, handlers=(), width=4, generator_term=non_saturating_generator, **settings):
        torch.manual_seed(0)
        images = torch.rand(8, 1, 32, 32) * 2 - 1
        networks = SimpleNamespace(
            g=DCGANGenerator(image_size=32, width=width), d=DCGANDiscriminator(image_size=32, width=width)
        )
        return GanEngine(
            device="cpu",
            max_epochs=max_epochs,
            train_data_loader=DataLoader(images, batch_size=4),
            generator=networks.g,
            discriminator=networks.d,
            objective=Objective({"adversarial": non_saturating_discriminator}, {"adversarial": generator_term}),
            generator_optimizer=torch.optim.Adam(networks.g.parameters(), 1e-3),
            discriminator_optimizer=torch.optim.Adam(networks.d.parameters(), 1e-3),
            precision="float32",
            train_handlers=list(handlers),
            **settings,
        )

    return make


@pytest.fixture(scope="session")
def store(mlflow_store, tmp_path_factory):
    """One sqlite store of MLflow for all."""
    return mlflow_store(tmp_path_factory.mktemp("mlflow"))
