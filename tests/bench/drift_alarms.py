"""How often `monai-xr drift` alarms where nothing has shifted, and where something has, as a table.

    python tests/bench/drift_alarms.py OUTPUT.md [--windows 20000] [--films 900]

Each window of 50 films and its reference of 300 are drawn anew from one population without a film in common. Phantoms
are made here; the real films are those below MONAI_XR_DATA.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from shifted_films import SHIFTS, phantom_films, real_films, records_of

from monai_xr.data.files.tables import markdown_row
from monai_xr.deploy.drift import FALSE_ALARMS, WINDOW, compared, features_of

REFERENCE = 300


def alarms(base: list[dict[str, Any]], other: list[dict[str, Any]] | None, trials: int) -> float:
    """Share of windows of `other`, or of films of `base` that are not in the reference, that alarm."""
    draw, count = np.random.default_rng(0), 0
    columns, shifted = features_of(base), None if other is None else features_of(other)
    for _ in range(trials):
        order = draw.permutation(len(base))
        rest = order[REFERENCE : REFERENCE + WINDOW]
        reference = {name: values[order[:REFERENCE]] for name, values in columns.items()}
        if shifted is None:
            window = {name: values[rest] for name, values in columns.items()}
        else:
            chosen = draw.permutation(len(other or ()))[:WINDOW]
            window = {name: values[chosen] for name, values in shifted.items()}
        found = compared(reference, window)
        count += found[0].p * len(found) <= FALSE_ALARMS
    return count / trials


def rows(name: str, films: list[Any], others: dict[str, list[Any]], windows: int) -> list[str]:
    base = records_of(films)
    told = [markdown_row([name, "nothing", f"{windows:,}", f"{1000 * alarms(base, None, windows):.2f} in 1,000"])]
    shifted = {kind: records_of(films[REFERENCE:], shift) for kind, shift in SHIFTS.items()}
    for kind, records in {**shifted, **{kind: records_of(each) for kind, each in others.items()}}.items():
        told.append(markdown_row([name, kind, "200", f"{100 * alarms(base, records, 200):.1f} %"]))
    print("\n".join(told), flush=True)
    return told


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=Path)
    parser.add_argument("--windows", type=int, default=20_000)
    parser.add_argument("--films", type=int, default=900)
    asked = parser.parse_args()
    lines = [markdown_row(["films", "what has shifted", "windows", "that alarm"]), markdown_row(["---"] * 4)]
    children = {"children": phantom_films(10_000, 150, children=True)}
    lines += rows("phantoms", phantom_films(0, asked.films), children, asked.windows)
    if data := os.environ.get("MONAI_XR_DATA"):
        sets = Path(data) / "cxr"
        adults = real_films(sets / "covid_radiography" / "Normal", asked.films)
        children = {"children (Kermany)": real_films(sets / "kermany" / "NORMAL", asked.films)}
        lines += rows("adults, covid_radiography Normal", adults, children, asked.windows)
    asked.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
