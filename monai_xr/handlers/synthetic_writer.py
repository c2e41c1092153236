"""Writes generated images as files that say what they are: clean PNG with lineage, and marked DICOM."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from monai_xr.data.files.output import write_text
from monai_xr.data.files.tables import csv_text
from monai_xr.data.images.lineage import lineage_of
from monai_xr.data.images.png import MARK_KEY, write_png
from monai_xr.data.trained_on import NOBODY, TrainedOn, write_lineage
from monai_xr.dicom.identity import SYNTHETIC_ID_PREFIX
from monai_xr.dicom.writing import write_generated
from monai_xr.disk import make_folder
from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.settings import parse_names

_FORMATS = ("png", "dicom")


class SyntheticWriter:
    """Writes every image of `state.output["pred"]` ((B, 1, H, W) in [0, 1]) and one `manifest.csv` over all of them.

    Items of the batch name the `index` of each image and its class, `label`.

    Args:
        folder: Where the files go; refused if it already holds a manifest.
        lineage: Where the images come from: `model_hash`, `run_id` and `seed`; those of `state.weights` are added.
        formats: "png", "dicom" or both.
        trained_on: Whom the images know beside the generator's `state.weights`, for `lineage.json`.
    """

    def __init__(
        self,
        folder: str | Path,
        lineage: Mapping[str, str],
        *,
        formats: Any = _FORMATS,
        trained_on: TrainedOn | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.lineage = {name: str(value) for name, value in lineage.items()}
        self.formats = parse_names(formats) or list(_FORMATS)
        self.trained_on = trained_on
        self.film_settings: dict[str, Any] = {}
        self.rows: list[dict[str, str]] = []
        if unknown := set(self.formats) - set(_FORMATS):
            raise ConfigurationError(f"unknown format {sorted(unknown)}", "formats", "png, dicom or both")
        if (self.folder / "manifest.csv").exists():
            raise ConfigurationError("folder already holds images", self.folder, "choose another --synthetic_dir")

    def attach(self, engine: Engine) -> None:
        """Write whom the generator knows before the first image, images after each batch, the manifest at the end."""
        engine.add_event_handler(Events.STARTED, self.begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.write)
        engine.add_event_handler(Events.COMPLETED, self.finish)

    def begin(self, engine: Any) -> None:
        """Write the lineage, so that images of a run that is killed have it, too."""
        weights = getattr(engine.state, "weights", None)
        if weights is not None:
            self.lineage = {"model_hash": weights.sha256, "run_id": weights.run_id, **self.lineage}
            self.trained_on = weights.trained_on | (self.trained_on or NOBODY)
            self.film_settings = dict(weights.film_settings)
        self._remove_leftovers()
        if self.trained_on:
            write_lineage(self.folder, self.trained_on, self.film_settings)

    def _remove_leftovers(self) -> None:
        """Remove what a sampling of the same training wrote here that was stopped before its manifest."""
        for path in [*self.folder.glob("[0-9]*.png"), *self.folder.glob("[0-9]*.dcm")]:
            with suppress(InputDataError):  # no image of ours
                if self.lineage.get("run_id") and lineage_of(path)["run_id"] == self.lineage["run_id"]:
                    path.unlink()

    def write(self, engine: Any) -> None:
        """Write the images of this batch."""
        make_folder(self.folder)
        for item, output in zip(engine.state.batch, engine.state.output, strict=True):
            self._write_one(item, output["pred"][0].float().cpu().numpy())

    def finish(self) -> None:
        """Write the manifest: one row per file, all in the training split as the house rule wants."""
        write_text(self.folder / "manifest.csv", csv_text(("image", "label", "patient_id", "split"), self.rows))

    def _write_one(self, item: Mapping[str, Any], pixels: Any) -> None:
        index, label = int(item["index"]), str(item["label"])
        stem = f"{index:06d}"
        if "png" in self.formats:
            text = {MARK_KEY: "generated", "Index": stem, **{k.title(): v for k, v in self.lineage.items()}}
            write_png(self.folder / f"{stem}.png", pixels, text)
        if "dicom" in self.formats:
            write_generated(
                self.folder / f"{stem}.dcm",
                pixels,
                index=index,
                seed=int(self.lineage.get("seed", 0)),
                model_hash=self.lineage.get("model_hash", ""),
                run_id=self.lineage.get("run_id", ""),
                label=label,
            )
        suffix = ".png" if "png" in self.formats else ".dcm"
        row = {
            "image": stem + suffix,
            "label": label,
            "patient_id": f"{SYNTHETIC_ID_PREFIX}{stem}",
            "split": "train",
        }
        self.rows.append(row)
