"""The step that measures added images against the films they stand for, and keeps the closest pairs."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from monai_xr.data.files.output import write_text
from monai_xr.metrics.measures import Measures
from monai_xr.workflows.judging_images.evaluate_sets import measure_image_sets
from monai_xr.workflows.judging_images.image_sets import ImageSet
from monai_xr.workflows.judging_images.measuring import Evidence, Judges
from monai_xr.workflows.studies.features import space_named
from monai_xr.workflows.studies.films import Images, classes_of, film_pixels, load_draw, load_films
from monai_xr.workflows.studies.sources import Added, load_added
from monai_xr.workflows.studies.steps import Work

MEASURES, PAIRS = "measures.json", "pairs.npz"
_SPACE = "random"  # that every machine has, and that costs little
_MOST, _SHOWN_PAIRS = 200, 8


def judge_added(work: Work) -> None:
    """Measure added images against the films that they stand for, beside films of validation.

    Of the class there are more training films than the arm was given: few films would not tell what it covers.
    """
    added = load_added(work.inputs["added"])
    measures, evidence, known = measured(work, added)
    write_text(work.folder / MEASURES, json.dumps(measures.as_dict(), indent=1, allow_nan=False) + "\n")
    closest = evidence.closest[:_SHOWN_PAIRS]
    made, film = added.images[closest[:, 0]], known[closest[:, 1]]
    with (work.folder / PAIRS).open("wb") as file:
        np.savez(file, added=_bytes(made), film=_bytes(film), shown=_bytes(added.images[:36]))


def measured(work: Work, added: Added) -> tuple[Measures, Evidence, Images]:
    """Give the measures of images, their evidence, and the pixels of the training films that it is of."""
    wanted, folder = work.settings, work.inputs["films"]
    classes = classes_of(work)
    films, draw = load_films(folder, *classes), load_draw(work.inputs["draw"])
    pixels = film_pixels(folder, classes, json.dumps(wanted["aiin"] if added.treated else "none"))
    further = draw.held_back[~np.isin(draw.held_back, added.held_back)]
    known = np.concatenate([draw.rare, further])[: max(_MOST, len(draw.rare))]
    val = films.of("val")
    val = val[films.rare[val]]
    sets = {
        "real": _image_set(pixels[known], films.patients_of(known)),
        "held-out": _image_set(pixels[val], films.patients_of(val)),
        "synthetic": _image_set(added.images[:_MOST], None),
    }
    judges = Judges(space_named(_SPACE))
    measures, evidence = measure_image_sets(sets, judges, pairs=wanted["pairs"], seed=wanted["seed"])
    return measures, evidence, pixels[known]


def _image_set(pixels: Images, patients: tuple[str, ...] | None) -> ImageSet:
    return ImageSet(torch.from_numpy(pixels)[:, None], patients, (), "", ("",) * len(pixels))


def _bytes(images: Images) -> NDArray[np.uint8]:
    return (images * 255).round().astype(np.uint8)


def plain_name(measure: str) -> str:
    """Give the name of a measure without counts, such as `kid_random` of `kid_200_random`."""
    return re.sub(r"_\d+k?(?=_|$)", "", measure)


def read_measures(folder: Path) -> dict[str, Any]:
    """Read what `judge_added` measured."""
    content: dict[str, Any] = json.loads((folder / MEASURES).read_bytes())
    return content
