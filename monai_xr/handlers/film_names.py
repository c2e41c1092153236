"""Gives the name by which results call each film of a data set: its path in the data folder and its UID."""

from monai_xr.data.identifiers import HashedId
from monai_xr.data.pixel_store.tile_making import source_of
from monai_xr.transforms.dataset import XrayDataset


def film_names(dataset: XrayDataset) -> list[dict[str, str]]:
    """Give path in the data folder (`file`) and SOP Instance UID (`sop_uid`) of each film, in order."""
    root = dataset.source.root
    found = {
        source_of(record, root).file: {
            "file": record.image.relative_to(root).as_posix(),
            "sop_uid": "" if isinstance(record.sop_uid, HashedId) else str(record.sop_uid),
        }
        for record in dataset.source
    }
    return [found[record.shown] for record in dataset.cache.records]
