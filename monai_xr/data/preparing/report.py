"""Writes `report.json` and a self-contained `report.html` of a prepared data set: no script, no request."""

import base64
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from monai_xr import __version__
from monai_xr.data.files.output import write_json, write_text
from monai_xr.data.files.pages import render_page
from monai_xr.data.images.tiles import Tile
from monai_xr.data.preparing.preparation_result import Preparation

_MOST_ROWS = 200
_MOST_PAIRS = 12
_FILMS_A_CLASS = 8
_SIDE = 96


def write_reports(folder: Path, result: Preparation) -> None:
    """Write both reports beside the manifest."""
    write_json(folder / "report.json", _content(result))
    write_text(folder / "report.html", _page(result))


def _content(result: Preparation) -> dict[str, Any]:
    names = [record.shown for record in result.records]
    doubts = [result.cache.facts[place].doubt for place in result.places] if result.cache else []
    return {
        "error": result.error,
        "source": result.source,
        "kind": result.kind,
        "monai_xr": __version__,
        "settings": result.settings,
        "images": len(result.records),
        "images_by_class_and_split": result.counts(),
        "unit": result.unit,
        "units_by_split": result.units(),
        "notes": result.notes,
        "size_note": result.size_note,
        "refused_by_reason": result.reasons(),
        "refused": [asdict(each) for each in result.refused],
        "show_next_to_nothing": [asdict(each) for each in result.blank],
        "skipped": [asdict(each) for each in result.skipped],
        "depth_doubtful": [name for name, doubt in zip(names, doubts, strict=False) if doubt],
        "exact_copies": [[names[place] for place in group] for group in result.duplicates.exact],
        "near_copies": [[names[place] for place in pair] for pair in result.duplicates.near],
        "copies_across_splits": [[names[place] for place in pair] for pair in result.leaks],
        "store_manifest_sha256": result.cache.manifest_sha256 if result.cache else "",
    }


def _page(result: Preparation) -> str:
    counts = result.counts()
    return render_page(
        Path(__file__).with_name("report.html.j2"),
        result=result,
        counts=counts,
        totals={split: sum(row[split] for row in counts.values()) for split in result.splits},
        refused=result.refused[:_MOST_ROWS],
        blank=result.blank[:_MOST_ROWS],
        skipped=result.skipped[:_MOST_ROWS],
        films=_films(result),
        pairs=_pairs(result),
        exact=sum(len(group) - 1 for group in result.duplicates.exact),
        version=__version__,
    )


def _films(result: Preparation) -> dict[str, list[str]]:
    """Give the first films of each class as pictures."""
    films: dict[str, list[str]] = {}
    for index, record in enumerate(result.records):
        shown = films.setdefault(record.label or "no label", [])
        if len(shown) < _FILMS_A_CLASS:
            shown.append(_picture(result, index))
    return films


def _pairs(result: Preparation) -> list[dict[str, Any]]:
    """Give the first copies, those across splits before the others, with their pictures."""
    leaks = set(result.leaks)
    ordered = sorted(result.duplicates.pairs(), key=lambda pair: pair not in leaks)
    exact = set(result.duplicates.pairs()) - set(result.duplicates.near)
    return [
        {
            "kind": "the same pixels" if pair in exact else "look the same",
            "leak": pair in leaks,
            "films": [
                (result.records[index].shown, result.records[index].split, _picture(result, index)) for index in pair
            ],
        }
        for pair in ordered[:_MOST_PAIRS]
    ]


def _picture(result: Preparation, index: int) -> str:
    tile: Tile = result.cache[result.places[index]] if result.cache else np.zeros((1, 1), np.uint16)
    small = cv2.resize(tile, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    _, png = cv2.imencode(".png", (small >> 8).astype(np.uint8))
    return "data:image/png;base64," + base64.b64encode(png.tobytes()).decode()
