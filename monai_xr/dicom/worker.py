"""The child process of `decode="isolated"`: answers requests over pipes.

Started as `python -m monai_xr.dicom.worker MAX_BYTES TASK`. A request is one line of JSON. An answer is the
length of a JSON text (8 bytes, little endian), that text, and for a film its table and its words; for the task "look"
only the places of text in the film, and not what it says. Nothing in an answer can run code.
Whoever takes over this process by a hostile file can give a wrong picture, made of anything that the user of the
process may read. More is up to the kernel: what `confinement` could put in force here is in the first answer and in
`monai-xr --version`. With seccomp or Landlock the process can change no file, start no program and signal no other
process, and with seccomp it reaches no network; without both it can do what its user can do.
"""

import json
import math
import os
import resource
import signal
import sys
from typing import Any, BinaryIO

import numpy as np

from monai_xr.dicom.reading import read_stored
from monai_xr.dicom.rendering.lookup import StoredFilm
from monai_xr.dicom.sandbox.child import LOOK
from monai_xr.dicom.sandbox.confinement import confine
from monai_xr.errors import XrError


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    # Codecs may print: what they say must not mix with the answers.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    _load_codecs()
    reader = _text_reader() if sys.argv[2:] == [LOOK] else None
    _limit_memory(int(sys.argv[1]))
    _send(answers, {"ready": True, "confinement": confine()})
    for line in sys.stdin.buffer:
        request = json.loads(line)
        # If the parent dies nobody else ends a decoder that hangs: the signal does, even inside of it.
        signal.alarm(math.ceil(request["max_seconds"]) + 1)
        try:
            film = _read(request)
            places = reader.look(film, times=request["times"]) if reader else ()
        except XrError as error:
            _send(answers, {"error": type(error).__name__, "what": error.what, "way_out": error.way_out})
        except MemoryError:
            _send(answers, {"error": "MemoryError"})
        else:
            if reader:
                _send(answers, {"shape": film.words.shape, "places": places})
            else:
                _send_film(answers, film)
            del film
        signal.alarm(0)


def _send_film(answers: BinaryIO, film: StoredFilm) -> None:
    shape = {"rows": film.words.shape[0], "columns": film.words.shape[1], "entries": film.table.size}
    words = np.ascontiguousarray(film.words, film.words.dtype.newbyteorder("="))
    answer = {"shape": {**shape, "word_bytes": words.dtype.itemsize}, "facts": film.facts}
    _send(answers, answer, film.table.data.cast("B"), words.data.cast("B"))


def _read(request: dict[str, Any]) -> StoredFilm:
    return read_stored(request["path"], frame=request["frame"], window=request["window"], admit=tuple(request["admit"]))


def _text_reader() -> Any:
    from monai_xr.dicom.deidentification.text_in_pixels import TextReader

    return TextReader()


def _load_codecs() -> None:
    """Load everything before the limits, so that the first film is as fast as the next."""
    import imagecodecs
    import jpeg_ls
    import openjpeg

    imagecodecs.jpeg8_version()
    _ = jpeg_ls, openjpeg


def _limit_memory(max_bytes: int) -> None:
    """Bound memory above what is in use now."""
    used = 0
    if os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm", encoding="ascii") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + max_bytes, used + max_bytes))


def _send(answers: BinaryIO, facts: dict[str, Any], *arrays: Any) -> None:
    text = json.dumps(facts).encode("ascii")
    for part in (len(text).to_bytes(8, "little"), text, *arrays):
        left = memoryview(part)
        while left:
            left = left[answers.write(left) or 0 :]


if __name__ == "__main__":
    main()
