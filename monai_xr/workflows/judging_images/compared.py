"""Reads the real, held-out and synthetic images that an evaluation compares: `load_compared`."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_xr.data import Records, find_records
from monai_xr.data.records import canonical_split
from monai_xr.data.trained_on import TrainedOn, lineage_behind
from monai_xr.errors import ConfigurationError
from monai_xr.metrics import FeatureSpace
from monai_xr.progress import told_if_long
from monai_xr.runs import GeneratedImages, RunFolder, note_opening
from monai_xr.settings import parse_flag
from monai_xr.workflows.judging_images.image_sets import ImageSet, Transform, find_synthetic
from monai_xr.workflows.judging_images.lights import LEAST

_HELD_OUT = ("val", "test")  # what "auto" takes, the first that there is
Load = Callable[..., ImageSet]


@dataclass(frozen=True)
class Chosen:
    """Which images are compared.

    Args:
        classes: Labels to compare. A synthetic folder that names none of them is used whole.
        split: Split of the real images.
        held_out_split: Split of other real images that set the floor; None or "none" halves the real ones. "auto" takes
            val, else test, where the folder has splits and the generator was not trained on it.
        accept_phantoms: Whether phantoms count as real.
        no_patients: Lets a deal of splits, where there is none yet, split images of unknown patients one by one.
    """

    classes: str | Sequence[str] | None = None
    split: str | None = None
    held_out_split: str | None = "auto"
    accept_phantoms: Any = False
    no_patients: Any = False

    def find(self, folder: str | Path, split: str | None, *, deal: bool) -> Records:
        """Find the images of a split in a folder of real ones."""
        allowed = parse_flag(self.no_patients, "no_patients")
        return find_records(folder, classes=self.classes, split=split, deal=deal, no_patients=allowed)

    @property
    def held_out(self) -> str:
        """Give the held-out split, "" for none."""
        return "" if self.held_out_split in (None, "none", "null") else str(self.held_out_split)

    @property
    def admitted(self) -> tuple[str, ...]:
        """Give the origins of images that count as real."""
        return ("patient", "phantom") if parse_flag(self.accept_phantoms, "accept_phantoms") else ("patient",)


@dataclass(frozen=True)
class Compared:
    """The sets "real", "synthetic" and perhaps "held-out".

    Args:
        sets: By name, real ones as they are in their files.
        training: Behind the synthetic images, where it is known.
        notes: What a reader must know of where they come from.
        held_out: The split that they are of, "" for none.
    """

    sets: Mapping[str, ImageSet]
    training: RunFolder | None
    notes: tuple[str, ...]
    held_out: str

    def mapped(self, transform: Transform | None) -> dict[str, ImageSet]:
        """Give the sets with every real image put through a transform."""
        return {
            name: each.mapped(transform) if transform and name != "synthetic" else each
            for name, each in self.sets.items()
        }


def load_compared(
    real_dir: str | Path, synthetic: GeneratedImages, chosen: Chosen, load: Load, *, space: FeatureSpace
) -> Compared:
    """Read the images that are compared, and note in the record of the generator's training what was opened.

    Args:
        real_dir: A `dataset_dir` of the real images that the generator was trained on.
        synthetic: Generated images, marked as such.
        chosen: Which of them.
        load: As `load_image_set`, given the records, the name of the set and what is admitted.
        space: In which they will be compared.

    Raises:
        ConfigurationError: No such folder, class or split; splits that share images.
        InputDataError: No usable image; held-out images of patients whom the generator or the space was trained on.
        HostError: No room for decoded pixels, or a record that cannot be written.
    """
    generated, notes = find_synthetic(synthetic.folder, chosen.classes)
    training, behind = synthetic.training, lineage_behind(generated.images())
    automatic = chosen.held_out == "auto"
    with told_if_long("reading the real films"):
        found = chosen.find(real_dir, chosen.split, deal=bool(chosen.held_out) and not automatic)
        sets = {"real": load(found, name="real", admit=chosen.admitted)}
    used = ""
    for split in _present(real_dir, found, chosen) if automatic else filter(None, [chosen.held_out]):
        others = _apart(chosen.find(real_dir, split, deal=True), found)
        held_out = load(others, name="held-out", admit=chosen.admitted)
        if automatic and held_out.units & behind.units:
            notes = (*notes, f"The split {split} is known to the generator, so it sets no floor.")
            continue
        space.check_unknown(held_out.units, where=others.root)
        sets["held-out"], used = held_out, split
        notes = (*notes, *_doubts_of(space, others), *open_held_out(held_out, others, behind, training))
        break
    if "held-out" not in sets:
        notes = (*notes, *_doubts_of(space, None))
    sets["synthetic"] = load(generated, name="synthetic", admit=("generated",))
    return Compared(sets, training, notes, used)


def _doubts_of(space: FeatureSpace, held_out: Records | None) -> tuple[str, ...]:
    """Say what a reader must know of a space that was trained on films of a site."""
    if space.trained_on is None:
        return ()
    if held_out is None:
        return ("The space knows the real films: name a split of others, which sets the real-to-real values.",)
    return tuple(filter(None, [space.trained_on.cannot_tell(held_out)]))


def _present(folder: str | Path, real: Records, chosen: Chosen) -> list[str]:
    """Give the held-out splits that a folder has of the classes at hand, where the real images are another split."""
    if not real.split_used:
        return []
    there = chosen.find(folder, None, deal=False).splits
    return [split for split in _HELD_OUT if split in there and split != real.split_used]


def larger_split(real_dir: str | Path, chosen: Chosen, compared: Compared) -> str:
    """Name the largest split with more patients than the held-out one, but that of the training; "" without one."""
    trained_on = compared.training.setting("split") if compared.training else None
    known = {canonical_split(str(name)) for name in (chosen.split, compared.held_out, trained_on)}
    there = chosen.find(real_dir, None, deal=False)
    patients = zip(there, there.patients, strict=True)
    counts = Counter(
        split for split, _ in {(record.split, patient) for record, patient in patients} if split not in known
    )
    split, count = next(iter(counts.most_common(1)), ("", 0))
    held_out = compared.sets["held-out"]
    more = count >= max(LEAST, 1 + len(set(held_out.patients or range(len(held_out.labels)))))
    return f"The split {split} has {count} patients or images: --held-out-split {split}." if split and more else ""


def _apart(others: Records, real: Records) -> Records:
    if {record.image for record in real} & {record.image for record in others}:
        way_out = "name a split that the real images are not of, or none to halve them"
        raise ConfigurationError("held-out images are among the real ones", "held_out_split", way_out)
    return others


def open_held_out(images: ImageSet, source: Records, behind: TrainedOn, training: RunFolder | None) -> tuple[str, ...]:
    """Refuse held-out images that a generator knows, and note in the record of its training that they were opened.

    Returns:
        What a reader must know of the comparison.

    Raises:
        InputDataError: The generator knows some of them.
        HostError: The record cannot be written.
    """
    way_out = "name a split that the generator was not trained on"
    behind.refuse(images.units, "held out are known to the generator", way_out, where=source.root)
    if training:
        sha256 = images.manifest_sha256
        note_opening(training.path, source.split_used, films=len(images.labels), data_sha256=sha256)
    return tuple(filter(None, [behind.cannot_tell(source)]))
