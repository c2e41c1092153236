"""The child process of `decode="isolated"`: a request in, an answer out, over pipes.

Started as `python -m monai_xr.dicom.worker MAX_BYTES`. A request is one line of JSON. An answer is the length of a JSON
text (8 bytes, little endian), that text, and for a film the bytes of its pixels. Nothing in an answer can run code:
whoever takes over this process by a hostile file gains no more than a wrong picture.
"""

import dataclasses
import json
import os
import resource
import sys
from typing import Any, BinaryIO

from monai_xr.dicom.image import XrayImage
from monai_xr.errors import XrError


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    # Codecs may print: what they say must not mix with the answers.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    _load_codecs()
    _limit(int(sys.argv[1]))
    _send(answers, {"ready": True}, b"")
    for line in sys.stdin.buffer:
        try:
            image = _read(json.loads(line))
        except XrError as error:
            _send(answers, {"error": type(error).__name__, "what": error.what, "way_out": error.way_out}, b"")
        except MemoryError:
            _send(answers, {"error": "MemoryError"}, b"")
        else:
            facts = {f.name: getattr(image, f.name) for f in dataclasses.fields(image) if f.name != "pixels"}
            facts["shape"] = image.pixels.shape
            _send(answers, facts, image.pixels.data.cast("B"))
            del image


def _read(request: dict[str, Any]) -> XrayImage:
    from monai_xr.dicom.reading import read_xray

    return read_xray(request["path"], frame=request["frame"], window=request["window"], admit=tuple(request["admit"]))


def _load_codecs() -> None:
    """Load everything before the limits, so that the first film is as fast as the next."""
    import imagecodecs
    import jpeg_ls
    import openjpeg

    import monai_xr.dicom.reading

    imagecodecs.jpeg8_version()
    _ = jpeg_ls, openjpeg, monai_xr.dicom.reading


def _limit(max_bytes: int) -> None:
    """Bound memory above what is in use now; no core files, which would hold films, and no files written."""
    used = 0
    if os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm", encoding="ascii") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + max_bytes, used + max_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _send(answers: BinaryIO, facts: dict[str, Any], pixels: bytes | memoryview) -> None:
    text = json.dumps(facts).encode("ascii")
    for part in (len(text).to_bytes(8, "little"), text, pixels):
        left = memoryview(part)
        while left:
            left = left[answers.write(left) or 0 :]


if __name__ == "__main__":
    main()
