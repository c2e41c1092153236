"""How many examples the properties draw: a quarter in `make test`, all in `make prove`."""

import os


def examples(number: int) -> int:
    """Give the number to draw of those that the property is proved with."""
    return number if os.environ.get("MONAI_XR_EXAMPLES") == "all" else number // 4
