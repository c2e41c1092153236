"""Keeps beside weights who was trained on, and refuses to score them: `TrainedOn`."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_xr.data.files.data_folder import LINEAGE
from monai_xr.data.files.output import write_json
from monai_xr.data.pixel_store.pixel_cache import PixelCache
from monai_xr.data.records import Records, keys_of
from monai_xr.errors import InputDataError

_WORDS = {"patient": "patients", "group": "groups", "film": "films"}


@dataclass(frozen=True)
class TrainedOn:
    """Who was trained on.

    Args:
        units: "patient/HASH" and "group/HASH" as in `keys_of`, and "film/DIGEST" for each film.
        keys: Tell the keys that the ids were hashed with, see `monai_xr.data.identifiers.key_tag`.
        splits: Digests of the tables of splits that were in force.
    """

    units: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    splits: frozenset[str] = frozenset()

    @classmethod
    def films(cls, cache: PixelCache, source: Records) -> "TrainedOn":
        """Take the films of a cache that was built of `source`.

        A group that has patients in several splits, such as a hospital, stands for none of them.
        """
        units, table = units_in(cache), source.table
        if table is None:
            return cls(units)
        several = {unit for unit in units if unit.startswith("group/") and unit not in table.split_of}
        return cls(units - several, frozenset({table.key}), frozenset({table.digest}))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TrainedOn":
        """Read what `as_dict` gave; what is empty says nothing."""
        if not content:
            return UNSAID
        return cls(*(frozenset(map(str, content.get(name, ()))) for name in ("units", "keys", "splits")))

    def as_dict(self) -> dict[str, list[str]]:
        """Give plain lists, sorted."""
        return {name: sorted(str(each) for each in found) for name, found in vars(self).items()}

    def __or__(self, other: "TrainedOn") -> "TrainedOn":
        return TrainedOn(self.units | other.units, self.keys | other.keys, self.splits | other.splits)

    def refuse(
        self, units: frozenset[str], what: str, way_out: str, *, where: Any = "", cache: PixelCache | None = None
    ) -> None:
        """Refuse films of which some were trained on.

        Args:
            units: Of the films, as `units_in` gives them.
            what: How the message calls the training.
            way_out: What the user can do.
            where: Their folder.
            cache: Of the films, by which the first one is named, too.

        Raises:
            InputDataError: Some were; names how many, and the first by its hash.
        """
        for kind, word in _WORDS.items():
            both = sorted(unit for unit in units & self.units if unit.startswith(f"{kind}/"))
            if both:
                total = sum(unit.startswith(f"{kind}/") for unit in units)
                such = f"{both[0]}{_file_of(both[0], cache)}"
                raise InputDataError(f"{len(both)} of {total} {word} {what}, such as {such}", where, way_out)

    def cannot_tell(self, source: Records) -> str:
        """Give a note where the patients behind the weights cannot be compared with those of a folder, else ""."""
        if not self.units:
            return "The weights do not say whom they were trained on: these films may be among them."
        if self.keys & UNSAID.keys:
            return (
                "Of some generated images nothing says whom their generator was trained on: "
                "these films may be among them."
            )
        if source.table and source.table.key not in self.keys:
            return (
                "Ids of patients were hashed with another key than those of the training: that no patient is in both "
                "was checked by the pixels of the films alone."
            )
        return ""


def _file_of(unit: str, cache: PixelCache | None) -> str:
    """Name the first film of a unit in brackets, as reports may show it; "" where nothing tells."""
    if cache is None:
        return ""
    place = next((place for place, units in enumerate(_units_of_films(cache)) if unit in units), None)
    return f" ({cache.records[place].shown})" if place is not None and cache.records[place].shown else ""


NOBODY = TrainedOn()
UNSAID = TrainedOn(keys=frozenset({"unsaid"}))  # of weights and images that do not tell


def units_in(cache: PixelCache) -> frozenset[str]:
    """Give the units of the films of a cache: their patients and groups, and the films themselves."""
    return frozenset(unit for units in _units_of_films(cache) for unit in units)


def _units_of_films(cache: PixelCache) -> Iterator[list[str]]:
    """Give the units of each film."""
    for record, facts in zip(cache.records, cache.facts, strict=True):
        known = [key for key in keys_of(record, cache.records.root) if not key.startswith("image/")]
        yield [*known, f"film/{facts.film}"]


def lineage_behind(images: Iterable[Path]) -> TrainedOn:
    """Tell whom the generators of some images were trained on, each by the nearest folder above it that says.

    Raises:
        InputDataError: A file is damaged.
    """
    found = NOBODY
    for folder in sorted({image.parent for image in images}):
        says = next((each for each in (folder, *folder.parents) if (each / LINEAGE).is_file()), None)
        found |= read_lineage(says) if says else UNSAID
    return found


def write_lineage(folder: str | Path, behind: TrainedOn, settings: Mapping[str, Any] | None = None) -> None:
    """Keep beside generated images whom their generator was trained on, and what its films went through."""
    write_json(Path(folder) / LINEAGE, {"trained_on": behind.as_dict(), **({"settings": settings} if settings else {})})


def read_lineage(folder: str | Path) -> TrainedOn:
    """Tell whom the generator of a folder of images was trained on; nobody where the folder does not say.

    Raises:
        InputDataError: The file is damaged.
    """
    path = Path(folder).expanduser() / LINEAGE
    try:
        return TrainedOn.from_dict(json.loads(path.read_bytes())["trained_on"])
    except FileNotFoundError:
        return NOBODY
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputDataError("lineage of the generated images is damaged", path, "generate them again") from None
