"""An app whose network looks at the brightness of films, in the form of `monai-xr export`: `write_small_app`."""

import sys
from pathlib import Path

from deploy.known import DECISION, write_model

from monai_xr.deploy.app_folder import write_app, write_checksums

CLASSES = ["NORMAL", "CONSOLIDATION"]
_DECIDED = {"temperature": 0.2, "thresholds": [0.5, 0.5], "half_widths": [0.05, 0.05], "rule": "youden", "films": 0}


def write_small_app(folder: Path) -> Path:
    """Write the app; give its folder."""
    named = {"classes": CLASSES, "positive": CLASSES[1], "negatives": CLASSES[:1]}
    write_model(folder, decision=DECISION | _DECIDED | named)
    write_app(folder, "brightness", "Brightness of films", "0.1.0")
    write_checksums(folder)
    return folder


if __name__ == "__main__":
    write_small_app(Path(sys.argv[1]))
