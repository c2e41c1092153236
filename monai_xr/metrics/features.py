"""Feature spaces, in which distances between sets of images are taken, and a torchmetrics class over them.

A space carries a name, because a distance means something only beside others of the same space.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, SupportsFloat

import timm
import torch
from torch import Tensor, nn
from torchmetrics.utilities import dim_zero_cat

from monai_xr.data.trained_on import TrainedOn
from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.metrics.checks import check_images
from monai_xr.metrics.precision import full_precision
from monai_xr.metrics.set_metric import SetMetric


@dataclass(frozen=True)
class FeatureSpace:
    """A network that turns images into vectors, and the name that its measures carry.

    Args:
        name: Short name used in the names of measures, such as `random` in `fid_234_random`.
        network: Takes (B, 1, H, W) in [-1, 1], gives (B, d); in evaluation mode.
        of_classifier: Whether the network was trained to tell the classes of these images apart.
        trained_on: Whom the network knows; None where it learned from no films of a site.
    """

    name: str
    network: nn.Module
    of_classifier: bool = False
    trained_on: TrainedOn | None = None

    @full_precision
    def __call__(
        self, images: Tensor, *, batch_size: int = 32, progress: Callable[[int], None] | None = None
    ) -> Tensor:
        """Give the features of a set, (N, d) float32 on the CPU.

        Args:
            images: The set, (N, 1, H, W) in [0, 1], on any device.
            batch_size: Images that go through the network at once.
            progress: Called with the number of images done, after each batch.
        """
        check_images(images, "images for features", at_least=1)
        home = next(self.network.parameters(), images)
        with torch.no_grad():
            features = []
            for batch in torch.split(images, batch_size):
                features.append(self.network(batch.to(home) * 2 - 1).float().cpu())
                if progress:
                    progress(sum(map(len, features)))
            return torch.cat(features)

    def check_within_class(self) -> None:
        """Refuse a classifier's features for distances within one class.

        A classifier squeezes each class towards a point, so such a distance hangs on a few directions: in one training
        it went from 0.14 to 29 in no order.

        Raises:
            ConfigurationError: The network is a classifier of these classes.
        """
        if self.of_classifier:
            raise ConfigurationError(
                "a classifier's features for distances within one class",
                f"space {self.name}",
                "measure all classes together, or take another space",
            )

    def check_unknown(self, units: frozenset[str], *, where: Any = "") -> None:
        """Refuse films to judge by that the network was trained on: to it they are unlike any others.

        Args:
            units: Whose they are, see `monai_xr.data.trained_on.units_in`.
            where: Their folder.

        Raises:
            InputDataError: Some of them were.
        """
        if self.trained_on is not None:
            what, way_out = f"are known to the feature space {self.name}", "train it on the films of another split"
            self.trained_on.refuse(units, what, way_out, where=where)


def random_space(*, seed: int = 0, device: str | torch.device = "cpu") -> FeatureSpace:
    """Give the space of a ResNet-18 with random weights: 512 features, no download, the same for one seed everywhere.

    Random convolutions see texture, contrast and coarse layout, not findings. Good enough to order clearly different
    sets; a distance in this space says nothing about medical content.

    Args:
        seed: Seed of the weights. Each seed is a space of its own, `random` for 0, else `random1` and so on; distances
            of different spaces are not comparable. The global random state is left as it was.
        device: Where the network runs.

    >>> random_space(seed=2).name
    'random2'
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # timm starts residual branches at 0. What is left, the stem and three 1x1 convolutions, tells sets of chest
        # X-rays apart better than random branches: pneumonia to normal is 35, not 11, times the real-to-real distance
        network = timm.create_model("resnet18", pretrained=False, in_chans=1, num_classes=0, zero_init_last=True)
    return FeatureSpace(f"random{seed or ''}", network.eval().requires_grad_(False).to(device))


class FeatureMetric(SetMetric):
    """A measure of two sets of features, such as `frechet_distance`, over batches of images.

    Args:
        space: The feature space. Its name belongs in the name under which the value is logged.
        measure: Takes features of real (N, d) and of synthetic images (M, d), gives a number.
        higher_is_better: Of the measure: not of a distance.
        base: What torchmetrics' base class takes, such as `compute_on_cpu`.
    """

    real_features: list[Tensor]
    synthetic_features: list[Tensor]

    def __init__(
        self,
        space: FeatureSpace,
        measure: Callable[[Tensor, Tensor], SupportsFloat],
        *,
        higher_is_better: bool = False,
        **base: Any,
    ) -> None:
        super().__init__(higher_is_better=higher_is_better, **base)
        self.space, self.measure = space, measure
        self.add_state("real_features", default=[], dist_reduce_fx="cat")
        self.add_state("synthetic_features", default=[], dist_reduce_fx="cat")

    def update(self, images: Tensor, real: bool) -> None:
        """Take a batch (B, 1, H, W) in [0, 1] of real or of synthetic images."""
        features = self.space(images).to(self.device)
        (self.real_features if real else self.synthetic_features).append(features)

    def compute(self) -> Tensor:
        """Give the measure of all real and all synthetic images so far."""
        if not len(self.real_features) or not len(self.synthetic_features):
            raise InputDataError("images of one kind only", "FeatureMetric", "update with real and synthetic images")
        return torch.tensor(
            float(self.measure(dim_zero_cat(self.real_features), dim_zero_cat(self.synthetic_features)))
        )
