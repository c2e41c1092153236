"""The data set that training reads: cached pixels, AIIN, and [-1, 1] for the networks."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite import distributed as idist
from torch.utils.data import Dataset

from monai_xr.data import PixelCache, Records, build_store, find_records, read_image
from monai_xr.data.images.tiles import Pixels, Tile
from monai_xr.data.pixel_store.tile_making import source_of
from monai_xr.data.records import SkippedFile, reasons
from monai_xr.data.sources.shown_paths import how_to_find
from monai_xr.data.trained_on import TrainedOn, lineage_behind
from monai_xr.errors import ConfigurationError
from monai_xr.progress import progress_bar
from monai_xr.settings import parse_count, parse_flag
from monai_xr.transforms.aiin.settings import MODES
from monai_xr.transforms.aiin.transforms import AIIN
from monai_xr.transforms.ranges import to_network_range

logger = logging.getLogger(__name__)


def make_aiin(setting: Any) -> AIIN | None:
    """Read the knob `aiin`: "none", "opencv", "exact", a mapping of the arguments of `AIIN`, or such a transform.

    Raises:
        ConfigurationError: If it is none of these.

    >>> make_aiin({"mode": "exact", "clip_limit": 4}).settings.clip_limit
    4.0
    >>> make_aiin("none") is None
    True
    """
    if setting is None or str(setting).lower() == "none":
        return None
    if isinstance(setting, AIIN):
        return setting
    if isinstance(setting, str) and setting in MODES:
        setting = {"mode": setting}
    if not isinstance(setting, Mapping):
        raise ConfigurationError(f"{setting!r} is no AIIN setting", "aiin", "none, opencv, exact, or its arguments")
    arguments = dict(setting)
    try:
        return AIIN(**arguments)
    except TypeError as error:
        raise ConfigurationError(f"unknown AIIN setting ({error})", "aiin") from None


class XrayDataset(Dataset[dict[str, Any]]):
    """Items `{"image": (1, S, S) float32 in [-1, 1], "label": class index}` of one data folder.

    Every image is decoded once, into the pixel cache; the store of a prepared data set is opened as it is. AIIN is
    applied after the resize, as the paper's text says.

    Args:
        dataset_dir: Any of the three kinds of data folder, or records found already, which are taken as they are.
        image_size: S in pixels.
        cache_dir: Where the pixels are kept.
        classes: Labels to take; None takes all.
        split: As in `find_records`; where the data names none, the table of the folder has it. None takes all.
        aiin: See `make_aiin`.
        accept_phantoms: Whether phantoms are let in beside real films.
        no_patients: Lets a deal of splits, where there is none yet, split images of unknown patients one by one.
        accept_synthetic: Whether generated images are let in, too.
        findings: As in `find_records`.

    Raises:
        ConfigurationError: No such folder, class or setting.
        InputDataError: No usable image.

    >>> films = XrayDataset(films_dir, image_size=16, cache_dir=cache_dir, split=None)
    >>> len(films), films.classes, films[0]["image"].shape
    (4, ['NORMAL', 'PNEUMONIA'], torch.Size([1, 16, 16]))
    """

    def __init__(
        self,
        dataset_dir: str | Path | Records,
        *,
        image_size: int,
        cache_dir: str | Path,
        classes: Any = None,
        split: str | None = "train",
        aiin: Any = None,
        accept_phantoms: Any = False,
        no_patients: Any = False,
        accept_synthetic: Any = False,
        findings: bool = False,
    ) -> None:
        self.aiin = make_aiin(aiin)
        size = parse_count(image_size, "image_size", least=8)
        admit = _admitted(accept_phantoms, accept_synthetic)
        with idist.one_rank_first():  # of several processes, one deals the splits and decodes
            self.source = (
                dataset_dir
                if isinstance(dataset_dir, Records)
                else find_records(
                    dataset_dir,
                    classes=classes,
                    split=split,
                    no_patients=parse_flag(no_patients, "no_patients"),
                    findings=findings,
                )
            )
            for note in self.source.notes:
                logger.warning("%s", note)
            _tell("skipped", self.source.skipped)
            first = idist.get_rank() == 0  # it alone tries again what failed before, so that all read the same
            with progress_bar("films read") as progress:
                self.cache = build_store(
                    self.source, size=size, folder=cache_dir, admit=admit, retry=first, progress=progress
                )
        _tell("refused", self.cache.refused)
        _tell_doubts(self.chest_doubts)
        self.classes = sorted({record.label for record in self.cache.records})

    def __len__(self) -> int:
        return len(self.cache)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.item(self.cache[index], self.cache.records[index].label)

    def item(self, tile: Tile, label: str) -> dict[str, Any]:
        """Make an item from a uint16 tile (S, S) and the name of a class."""
        pixels = tile.astype(np.float32) / np.float32(65535)
        if self.aiin is not None:
            pixels = self.aiin(pixels)
        image = to_network_range(torch.from_numpy(pixels)).unsqueeze(0)  # (1, S, S)
        return {"image": image, "label": self.classes.index(label)}

    def film(self, index: int) -> Pixels:
        """Give a film (H, W) in [0, 1] as it was read, upright and at its own size; of a prepared set its tile."""
        if self.source.store:
            tile: Pixels = self.cache[index].astype(np.float32) / np.float32(65535)
            return tile
        path = self._files[self.cache.records[index].shown]
        exports = tuple(self.cache.settings.get("exports", ()))
        return read_image(path, admit=("patient", "phantom", "generated"), exports=exports).pixels

    @cached_property
    def _files(self) -> dict[str, Path]:
        return {source_of(record, self.source.root).file: record.image for record in self.source}

    @cached_property
    def trained_on(self) -> TrainedOn:
        """Who a training with these films knows; with generated ones, whom their generators knew, too."""
        image_of = {record.shown: record.image for record in self.source if record.shown}
        made = (r for r, facts in zip(self.cache.records, self.cache.facts, strict=True) if facts.origin == "generated")
        behind = lineage_behind(image_of.get(record.shown, record.image) for record in made)
        return TrainedOn.films(self.cache, self.source) | behind

    @property
    def patients(self) -> tuple[str, ...]:
        """Give what each film shares with others: its patient, else its group, else the film itself."""
        return self.cache.records.patients

    @property
    def generated(self) -> int:
        """How many of the images are generated."""
        return sum(facts.origin == "generated" for facts in self.cache.facts)

    @property
    def chest_doubts(self) -> dict[str, int]:
        """Count the images by what speaks against a frontal chest radiograph, the most frequent first."""
        return dict(Counter(facts.chest_doubt for facts in self.cache.facts if facts.chest_doubt).most_common())

    @property
    def summary(self) -> dict[str, Any]:
        """What was trained on, without any path or patient: for the run's record."""
        labels = [record.label for record in self.cache.records]
        return {
            "images": len(self),
            "images_per_class": {name: labels.count(name) for name in self.classes},
            "patients": len({record.patient_id for record in self.cache.records if record.patient_id}),
            "split": self.source.split_used or "all",
            "splits_sha256": self.source.table.digest if self.source.table else "",
            "source": self.source.source,
            "generated": self.generated,
            "refused": len(self.cache.refused),
            "refused_by_reason": reasons(self.cache.refused),
            "chest_doubts": self.chest_doubts,
            "manifest_sha256": self.cache.manifest_sha256,
            "fit": (PixelCache(self.source.store) if self.source.store else self.cache).settings["fit"],
        }


def _admitted(accept_phantoms: Any, accept_synthetic: Any) -> tuple[str, ...]:
    phantoms = ("phantom",) * parse_flag(accept_phantoms, "accept_phantoms")
    return ("patient", *phantoms, *("generated",) * parse_flag(accept_synthetic, "accept_synthetic"))


def _tell(what: str, files: Sequence[SkippedFile], most: int = 20) -> None:
    """Name each file that is not used, with its reason; past `most` of them count all by reason."""
    for skipped in files[:most]:
        logger.warning("%s %s: %s", what, skipped.file, skipped.reason)
    for sentence in how_to_find(files[:most]):
        logger.warning("%s", sentence)
    if len(files) > most:
        counts = "; ".join(f"{count} {reason}" for reason, count in reasons(files).items())
        logger.warning("%s %d files in all (%s); `monai-xr inspect` lists them", what, len(files), counts)


def _tell_doubts(doubts: Mapping[str, int]) -> None:
    """Warn of films of other body parts or views, which are learned from all the same."""
    if doubts:
        counts = "; ".join(f"{count} {doubt}" for doubt, count in doubts.items())
        logger.warning("among the images are: %s; `monai-xr prepare` leaves other parts out", counts)
