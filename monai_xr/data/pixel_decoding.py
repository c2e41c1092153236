"""Image files in, their tiles out in the same order, or the reason why there is none."""

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from monai_xr import __version__
from monai_xr.data.pixel_cache import TileFacts, checksum
from monai_xr.data.reading import READER_VERSION, Decode, read_image
from monai_xr.data.tiles import Fit, Tile, check_usable, tile_of
from monai_xr.errors import ConfigurationError, HostError, InputDataError, XrError

_AHEAD = 4  # images in work for each worker


@dataclass(frozen=True)
class CacheSettings:
    """What the tiles depend on beside the files."""

    size: int
    fit: Fit
    admit: tuple[str, ...]
    reader: str = f"{__version__}/{READER_VERSION}"


@dataclass(frozen=True)
class Source:
    """A file to read: its path relative to the root, and the size and time by which it is known again."""

    path: Path
    file: str
    stamp: tuple[int, int]


@dataclass(frozen=True)
class Outcome:
    """A tile with its facts, or the reason why there is none."""

    tile: Tile | None = None
    facts: TileFacts | None = None
    reason: str = ""
    way_out: str = ""


KnownTiles = Mapping[tuple[str, tuple[int, int]], tuple[Tile, TileFacts]]


def source_of(path: Path, root: Path) -> Source:
    """Look at a file without opening it; one that is not there has the stamp (-1, -1)."""
    return Source(path, path.relative_to(root).as_posix(), _stamp(path))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (-1, -1)
    return (found.st_size, found.st_mtime_ns)


@dataclass(frozen=True)
class TileMaker:
    """Makes tiles, with what they depend on.

    Args:
        settings: Of the tiles.
        decode: Where DICOM pixels are decoded, as in `read_image`.
        known: Tiles that need no decoding, by file and stamp.
    """

    settings: CacheSettings
    decode: Decode
    known: KnownTiles

    def outcomes(self, sources: Sequence[Source], workers: int) -> Iterator[Outcome]:
        """Give the outcome of each source in order, a few being worked on ahead in threads."""
        pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")  # decoders let go of the interpreter lock
        waiting: deque[Future[Outcome]] = deque()
        try:
            for source in sources:
                waiting.append(pool.submit(self.outcome, source))
                if len(waiting) >= _AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def outcome(self, source: Source) -> Outcome:
        """Make one tile; whatever is wrong with the file becomes the reason.

        Raises:
            ConfigurationError: A setting that no file can be read with.
            HostError: Trouble of this machine.
        """
        tile, facts = self.known.get((source.file, source.stamp), (None, None))
        if tile is not None and facts is not None and checksum(tile) == facts.sha256:
            return Outcome(tile, facts)
        try:
            return self._decoded(source)
        except (HostError, ConfigurationError):
            raise
        except XrError as error:
            return Outcome(reason=error.what, way_out=error.way_out)
        except MemoryError:
            return Outcome(reason="too large for the memory of this machine")
        except Exception as error:  # one odd file among thousands does not end the work
            return Outcome(reason=f"the reader failed: {type(error).__name__}")

    def _decoded(self, source: Source) -> Outcome:
        image = read_image(source.path, admit=self.settings.admit, decode=self.decode)
        if _stamp(source.path) != source.stamp:
            raise InputDataError("changed while it was read")
        check_usable(image.pixels)
        tile = tile_of(image.pixels, self.settings.size, self.settings.fit)
        return Outcome(tile, TileFacts(image.bits, image.origin, checksum(tile)))
