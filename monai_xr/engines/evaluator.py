"""Makes the MONAI evaluator that runs a network once over a data set, in its order: `sampler`."""

from collections.abc import Sequence
from typing import Any

from monai.engines import SupervisedEvaluator
from monai.inferers import Inferer
from torch import nn
from torch.utils.data import DataLoader, Dataset

from monai_xr.engines.host import pick_device
from monai_xr.handlers.counted import Counted
from monai_xr.inferers.sampling import prepare_conditioned
from monai_xr.settings import parse_count


def sampler(
    network: nn.Module,
    dataset: Dataset[Any],
    *,
    inferer: Inferer,
    handlers: Sequence[Any] = (),
    device: str = "auto",
    batch_size: Any = 64,
    decollate: bool = True,
) -> SupervisedEvaluator:
    """Make an evaluator that runs a network once over the items `image` and `condition` of a data set, in its order."""
    place = pick_device(device)
    return SupervisedEvaluator(
        device=place,
        val_data_loader=DataLoader(dataset, batch_size=parse_count(batch_size, "batch_size")),
        network=network.to(place),
        prepare_batch=prepare_conditioned,
        inferer=inferer,
        decollate=decollate,
        val_handlers=[*handlers, Counted("images")],
    )
