"""How a data set is prepared: `PrepareSettings`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monai_xr.data.images.image_file import Decode
from monai_xr.data.images.tiles import Fit, check_fit
from monai_xr.data.pixel_store.building import check_decoding
from monai_xr.data.preparing.tile_size import SIZES
from monai_xr.data.records import FRACTIONS, SplitTable
from monai_xr.data.splits.dealing import check_deal
from monai_xr.data.splits.split_table import new_table
from monai_xr.errors import ConfigurationError


@dataclass(frozen=True)
class PrepareSettings:
    """How to prepare a data set.

    Args:
        size: Pixels on a side of a tile; None takes what fits the films, or what was taken before.
        fit: What happens to the aspect ratio: "squash", "pad" or "crop".
        layout: Name of a known data set, "auto" to recognise one, "folder" for none.
        decode: "isolated" reads DICOM in child processes with limits, for files nobody vouches for.
        workers: Films decoded at the same time.
        seed: Of the deal of splits; None is 0, or as they were dealt before.
        fractions: Of the images, by split; None is 0.7, 0.1, 0.2, or as they were dealt before.
        resplit: Deals new splits where the source names some or they were dealt before.
        no_patients: Lets images without patient and group be split one by one.
        allow_duplicates: Lets a film and its copy be in two splits.
        accept_phantoms: Lets phantoms in beside films of patients.
        accept_synthetic: Lets generated images in, into train alone.
        accept_non_chest: Lets in what `monai_xr.dicom.chest` takes for no chest radiograph.
        max_bad: Refused files above which the data set is not written; None takes any number.
        overwrite: Replaces a data set that was prepared with other settings.
    """

    size: int | None = None
    fit: Fit = "squash"
    layout: str = "auto"
    decode: Decode = "isolated"
    workers: int = 2
    seed: int | None = None
    fractions: Mapping[str, float] | None = None
    resplit: bool = False
    no_patients: bool = False
    allow_duplicates: bool = False
    accept_phantoms: bool = False
    accept_synthetic: bool = False
    accept_non_chest: bool = False
    max_bad: int | None = None
    overwrite: bool = False

    @property
    def admit(self) -> tuple[str, ...]:
        """Origins that are let in."""
        wanted = {"patient": True, "phantom": self.accept_phantoms, "generated": self.accept_synthetic}
        return tuple(origin for origin, is_wanted in wanted.items() if is_wanted)

    def check(self) -> None:
        """Check all that needs no film to be seen as wrong.

        Raises:
            ConfigurationError: A setting that cannot be.
        """
        check_fit(self.size or SIZES[0], self.fit)
        check_decoding(self.decode, self.workers)
        check_deal(self.fractions or FRACTIONS, self.seed or 0)
        if self.max_bad is not None and self.max_bad < 0:
            raise ConfigurationError(f"{self.max_bad} refused files", "max_bad", "0 or more")

    def told(self, table: SplitTable | None = None) -> dict[str, Any]:
        """Give the settings that decide what is in the data set; of the deal those that it was made with."""
        dealt = table or new_table(self.seed, self.fractions, no_patients=self.no_patients)
        return {
            "size": self.size,
            "fit": self.fit,
            "origins": ", ".join(self.admit),
            "splits": dealt.rule,
            "seed": dealt.seed,
            "fractions": ", ".join(f"{name} {share:g}" for name, share in dealt.fractions.items()),
            "resplit": self.resplit,
            "no_patients": self.no_patients,
            "accept_non_chest": self.accept_non_chest,
            "allow_duplicates": self.allow_duplicates,
        }


def parse_fractions(text: str) -> dict[str, float]:
    """Read the shares of train, val and test from numbers with commas between.

    Raises:
        ConfigurationError: Not three numbers.
    """
    try:
        train, val, test = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigurationError(f"{text!r} as shares", "fractions", "three numbers such as 0.7,0.1,0.2") from None
    return {"train": train, "val": val, "test": test}
