"""Makes the images that arms add to the rare class: copies, noise, films held back, or of a trained generator.

Copies, noise, films that were held back, or the images of a generator that is trained for it through its bundle.
"""

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_xr.data.files.output import write_json
from monai_xr.data.trained_on import lineage_behind
from monai_xr.errors import InputDataError, ModelError
from monai_xr.networks.weights import check_sha256
from monai_xr.runs.checkpoint_files import read_checkpoint, write_checkpoint
from monai_xr.workflows.bundle_running.bundle_folders import find_bundle
from monai_xr.workflows.bundle_running.bundles import run_bundle
from monai_xr.workflows.bundle_running.sampling import sample_run
from monai_xr.workflows.judging_images.image_sets import find_synthetic, load_image_set
from monai_xr.workflows.studies.films import (
    Draw,
    Films,
    Images,
    classes_of,
    load_draw,
    load_films,
    write_training_folder,
)
from monai_xr.workflows.studies.steps import WORK, Work

_IMAGES, _FACTS, _TRAINED, _RUN = "images.npy", "source.json", "generator.json", "run"
CHOICE = "choice.json"
_LEAST_BATCHES = 50  # of an epoch, so that what is done once an epoch costs little


@dataclass(frozen=True)
class Added:
    """Images that may be added to the rare class.

    Args:
        images: (N, S, S) in [0, 1].
        treated: Whether they are as after AIIN already.
        held_back: Places among the films where they are such, of patients whom the arm does not know otherwise.
    """

    images: Images
    treated: bool
    held_back: NDArray[np.int64]


def load_added(folder: Path) -> Added:
    """Read what a step of this module wrote."""
    facts = json.loads((folder / _FACTS).read_bytes())
    images = np.load(folder / _IMAGES).astype(np.float32) / np.float32(255)
    return Added(images, bool(facts["treated"]), np.array(facts["held_back"], np.int64))


def _write(work: Work, images: NDArray[Any], *, treated: bool = False, held_back: Sequence[int] = ()) -> None:
    np.save(work.folder / _IMAGES, (np.clip(images, 0, 1) * 255).round().astype(np.uint8))
    facts = {"images": len(images), "wanted": work.settings["pool"], "treated": treated, "held_back": list(held_back)}
    write_json(work.folder / _FACTS, facts)


def copy_films(work: Work) -> None:
    """Give each film of the rare class as often as is wanted, in turn."""
    films, draw = _drawn(work)
    _write(work, films.pixels[np.resize(draw.rare, work.settings["pool"])])


def hold_back(work: Work) -> None:
    """Give real films of the rare class of further patients, as many as there are up to what is wanted.

    Raises:
        InputDataError: There are none.
    """
    films, draw = _drawn(work)
    places = draw.held_back[: work.settings["pool"]]
    if not len(places):
        raise InputDataError("no further film of the rare class", "held back", "lower the largest of `counts`")
    _write(work, films.pixels[places], held_back=places.tolist())


def make_noise(work: Work) -> None:
    """Give images of independent noise."""
    films, _ = _drawn(work)
    rng = np.random.default_rng([work.settings["seed"], 1])
    _write(work, rng.random((work.settings["pool"], *films.pixels.shape[1:]), np.float32))


def train_generator(work: Work) -> None:
    """Train a generator on the films of one repetition, through its bundle; keep the checkpoints that are wanted.

    Raises:
        DivergedError: The training diverged.
    """
    _, draw = _drawn(work)
    wanted, run, source = work.settings, work.folder / WORK / _RUN, work.folder / WORK / "films"
    places, batch = _epoch_of(work, draw.rare, draw.others)
    write_training_folder(work.inputs["films"], places.tolist(), classes_of(work), source)
    length, kept = len(places) // batch, wanted.get("checkpoints", 1)
    epochs = max(1, round(wanted["steps"] / length))
    knobs = {
        "dataset_dir": str(source),
        "output_dir": str(run),
        "cache_dir": str(work.cache / "pixels"),
        "image_size": wanted["image_size"],
        "batch_size": batch,
        "max_epochs": epochs,
        "checkpoint_every": epochs,
        "grid_every": epochs,
        "seed": wanted["seed"],
        "aiin": wanted["aiin"],
        "accept_phantoms": True,
        "track": False,
        **wanted["knobs"],
    }
    if kept > 1:
        knobs |= {"checkpoint_every_iterations": math.ceil(epochs * length / kept), "keep_checkpoints": kept}
    bundle = find_bundle(wanted["bundle"])
    run_bundle(bundle, "training", "train", knobs, overlays=[Path(each) for each in wanted["overlays"]])
    shutil.rmtree(source)
    files = sorted((run / "checkpoints").glob("epoch_*.pt"), key=lambda path: path.stem)
    facts: dict[str, Any] = {"checkpoint_sha256": check_sha256(files[-1]), "epochs": epochs}
    if kept > 1:
        facts["checkpoints"] = {file.name: _iteration_of(file, alone=file != files[-1]) for file in files}
    write_json(work.folder / _TRAINED, facts)


def _iteration_of(file: Path, *, alone: bool) -> int:
    """Give the iteration of a checkpoint; of one that is only drawn from, keep the generator alone on the disk."""
    content = read_checkpoint(file)
    if alone:
        left = {name: content[name] for name in content.keys() - {"sha256", "name", "objects", "network_def"}}
        drawn_from = {name: each for name, each in content["objects"].items() if name in ("generator", "ema_generator")}
        write_checkpoint(file, content["epoch"], {**left, "objects": drawn_from})
    return int(content["iteration"])


def checkpoints_of(folder: Path) -> dict[str, int]:
    """Give the names of the checkpoints that `train_generator` kept, with their iterations, in their order."""
    return dict(json.loads((folder / _TRAINED).read_bytes())["checkpoints"])


def draw_images(work: Work) -> None:
    """Draw images of a trained generator.

    Raises:
        InputDataError: The generator knows patients of another split.
        ModelError: Not all of them can be read.
    """
    choice = json.loads((work.inputs["choice"] / CHOICE).read_bytes()) if "choice" in work.inputs else {"taken": ""}
    images = drawn_from(work, choice["taken"], work.settings["other_class"])
    _write(work, images, treated=str(work.settings["aiin"]).lower() != "none")


class BlankImagesError(ModelError):
    """Images that a checkpoint draws are blank, which early ones may be: no other fault of it is this one."""


def drawn_from(work: Work, checkpoint: str, other_class: int = 0) -> NDArray[np.float32]:
    """Draw as many images (N, S, S) as the step wants from a checkpoint of the generator; raises as `draw_images`.

    Args:
        work: Of a step that reads films and generator.
        checkpoint: Its name; "" for the newest.
        other_class: Which class it is asked for.
    """
    films = load_films(work.inputs["films"], *classes_of(work))
    wanted, run, images = work.settings, work.inputs["generator"] / WORK / _RUN, work.folder / WORK / "images"
    chosen = {"classes": wanted["classes"][other_class]} if wanted["learns"] == "both" else {}
    place = {"synthetic_dir": str(images), "seed": wanted["seed"]}
    place |= {"checkpoint": str(run / "checkpoints" / checkpoint)} if checkpoint else {}
    sample_run(run, wanted["pool"], {"formats": "png", **place, **chosen})
    outside = frozenset().union(*(units for split, units in films.units.items() if split != "train"))
    way_out = "train it on the split train alone"
    lineage_behind(images.glob("*.png")).refuse(outside, "outside train are known to the generator", way_out)
    found, _ = find_synthetic(images, None)
    size = films.pixels.shape[-1]
    seen = load_image_set(found, name="synthetic", image_size=size, admit=("generated",), cache_dir=images / "cache")
    shutil.rmtree(images)
    if len(seen.labels) < wanted["pool"]:
        raise BlankImagesError(f"{len(seen.labels)} of {wanted['pool']} images can be read", images)
    return np.asarray(seen.pixels[:, 0].numpy(), np.float32)


def _drawn(work: Work) -> tuple[Films, Draw]:
    return load_films(work.inputs["films"], *classes_of(work)), load_draw(work.inputs["draw"])


def _epoch_of(work: Work, rare: NDArray[np.int64], others: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Give the films of an epoch, both classes equally often where both are learned, and the films of a batch."""
    both = work.settings["learns"] == "both"
    films = np.concatenate([np.resize(rare, len(others)), others]) if both else rare
    batch = min(work.settings["batch_size"], len(films) - len(films) % 4 if len(films) >= 4 else len(films))
    return np.tile(films, math.ceil(_LEAST_BATCHES * batch / len(films))), batch
