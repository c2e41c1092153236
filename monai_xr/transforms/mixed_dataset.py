"""The data set of a classifier that trains on real and generated images: `MixedXrayDataset`."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite import distributed as idist
from torch.utils.data import Dataset

from monai_xr.data import build_store, find_records
from monai_xr.data.mixing import mix
from monai_xr.data.trained_on import TrainedOn, lineage_behind
from monai_xr.settings import parse_number
from monai_xr.transforms.dataset import XrayDataset

logger = logging.getLogger(__name__)


class MixedXrayDataset(Dataset[dict[str, Any]]):
    """Items as of `XrayDataset`, of its real images and behind them the generated ones, with `generated` 0 or 1.

    Args:
        real: Images of train.
        synthetic_dir: Folder of generated images with the classes of the real ones.
        cache_dir: Where their pixels are kept.
        ratio: Generated images for each real one, or a ratio for each class.
        seed: Of the draws and orders.

    Raises:
        ConfigurationError: A ratio that cannot be, or real images of another split than train.
        InputDataError: Images that are not what they should be, or too few; a generator that was trained on patients
            of another split of the real data.
    """

    def __init__(
        self, real: XrayDataset, synthetic_dir: str | Path, *, cache_dir: str | Path, ratio: Any, seed: Any = 0
    ) -> None:
        records = find_records(synthetic_dir, classes=real.classes if any(real.classes) else None)
        with idist.one_rank_first():
            first = idist.get_rank() == 0  # as in `XrayDataset`
            generated = build_store(records, size=real.cache.size, folder=cache_dir, admit=("generated",), retry=first)
        shares = ratio if isinstance(ratio, Mapping) else parse_number(ratio, "ratio")
        behind = lineage_behind(records.images())
        _refuse_others(real, behind, synthetic_dir)
        self.mixture = mix(real.cache, generated, ratio=shares, seed=int(seed))
        self.real, self.trained_on = real, real.trained_on | behind
        self.classes = real.classes

    def __len__(self) -> int:
        return len(self.real) + len(self.mixture.generated)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index < len(self.real):
            return {**self.real[index], "generated": 0}
        generated, place = self.mixture.generated, index - len(self.real)
        return {**self.real.item(generated[place], generated.records[place].label), "generated": 1}

    @property
    def summary(self) -> dict[str, Any]:
        """What was trained on, without any path or patient: for the run's record."""
        return {**self.real.summary, "mixture": self.mixture.lineage()}


def _refuse_others(real: XrayDataset, behind: TrainedOn, synthetic_dir: str | Path) -> None:
    """Refuse images whose generator knows patients that a classifier of the real ones is to be judged by."""
    if real.source.table:
        others = real.source.table.outside(real.source.split_used or "train")
        way_out = "generate them from a training on the split train of the same data"
        behind.refuse(others, "outside train are known to the generator", way_out, where=Path(synthetic_dir))
    if note := behind.cannot_tell(real.source):
        logger.warning("%s: %s", Path(synthetic_dir).name, note)
