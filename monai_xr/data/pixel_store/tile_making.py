"""Makes the tiles of image files in their order, or tells the reason why there is none: `TileMaker`."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np

from monai_xr import __version__
from monai_xr.data.files.file_kinds import printable, stamp_of
from monai_xr.data.identifiers import hashed
from monai_xr.data.images.image_file import READER_VERSION, Decode, read_image
from monai_xr.data.images.lineage import lineage_of
from monai_xr.data.images.png_depth import DOUBTFUL
from monai_xr.data.images.shown_range import range_doubt
from monai_xr.data.images.tiles import FULL_SCALE, Fit, Pixels, Tile, check_usable, tile_of, tile_spacing
from monai_xr.data.pixel_store.duplicates import perceptual_hash
from monai_xr.data.pixel_store.pixel_cache import FileKey, PixelCache, checksum
from monai_xr.data.pixel_store.tile_facts import TileFacts
from monai_xr.data.records import Record
from monai_xr.errors import ConfigurationError, HostError, InputDataError, PassingError, XrError

_AHEAD = 4  # images in work for each worker


@dataclass(frozen=True)
class CacheSettings:
    """What the tiles depend on beside the files."""

    size: int
    fit: Fit
    admit: tuple[str, ...]
    exports: tuple[int, ...] = ()
    reader: str = f"{__version__}/{READER_VERSION}"


@dataclass(frozen=True)
class FilmSource:
    """An image to read.

    Args:
        file: How tables and reports call it.
        key: Hash of its path relative to the root.
        stamp: Size and time by which it is known again.
    """

    path: Path
    file: str
    key: str
    stamp: tuple[int, int]


@dataclass(frozen=True)
class Outcome:
    """A tile with its facts, or the reason why there is none; `passes` where that is of this machine at this time.

    `row` tells where the tile lies in the pixel file that is being written, if it does already.
    """

    tile: Tile | None = None
    facts: TileFacts | None = None
    reason: str = ""
    way_out: str = ""
    passes: bool = False
    row: int | None = None


KnownOutcomes = Mapping[FileKey, Outcome]
Film = tuple[Pixels, TileFacts]  # the facts as far as the whole film tells them


def source_of(record: Record, root: Path) -> FilmSource:
    """Look at a file without opening it; one that is not there has the stamp (-1, -1)."""
    file = record.image.relative_to(root).as_posix()
    return FilmSource(record.image, printable(record.shown or file), hashed(file), stamp_of(record.image))


def digest_of(pixels: Pixels) -> str:
    """Give 16 hexadecimal digits by which the pixels of a film are known again, whatever file they lie in."""
    shape = repr(pixels.shape).encode("ascii")
    return blake2b(np.ascontiguousarray(pixels, "<f4").data, digest_size=8, key=shape).hexdigest()


@dataclass(frozen=True)
class FilmsOfFiles:
    """Reads films from their files."""

    admit: tuple[str, ...]
    decode: Decode
    exports: tuple[int, ...] = ()

    def __call__(self, source: FilmSource) -> Film:
        """Read one film.

        Raises:
            InputDataError: It cannot be used, or changed meanwhile.
        """
        image = read_image(source.path, admit=self.admit, decode=self.decode, exports=self.exports)
        if stamp_of(source.path) != source.stamp:
            raise InputDataError("changed while it was read")
        check_usable(image.pixels)
        return image.pixels, TileFacts(
            bits=image.bits,
            origin=image.origin,
            film=digest_of(image.pixels),
            view=printable(image.view),
            chest_doubt=image.chest_doubt,
            spacing_mm=image.spacing_mm,
            doubt=DOUBTFUL if any(DOUBTFUL in step for step in image.provenance) else "",
            lineage=lineage_of(source.path) if image.origin == "generated" else {},
        )


class TilesOfStore:
    """Takes the tiles of a prepared store for films."""

    def __init__(self, store: PixelCache) -> None:
        self.store = store
        self.place_of = {each["file"]: place for place, each in enumerate(store.index["images"])}

    def sources(self) -> list[FilmSource]:
        """Give one source for each tile; a tile is known again by its checksum."""
        return [
            FilmSource(self.store.folder, file, hashed(file), (int(self.store.facts[place].sha256[:12], 16), 0))
            for file, place in self.place_of.items()
        ]

    def __call__(self, source: FilmSource) -> Film:
        """Take one tile."""
        place = self.place_of[source.file]
        return self.store[place].astype(np.float32) / np.float32(FULL_SCALE), self.store.facts[place]


@dataclass(frozen=True)
class TileMaker:
    """Makes tiles, with what they depend on.

    Args:
        film: Gives the film of a source.
        known: Outcomes that need no decoding, by file and stamp.
    """

    settings: CacheSettings
    film: Callable[[FilmSource], Film]
    known: KnownOutcomes

    def outcomes(self, sources: Sequence[FilmSource], workers: int) -> Iterator[Outcome]:
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

    def outcome(self, source: FilmSource) -> Outcome:
        """Make one tile; whatever is wrong with the file becomes the reason.

        Raises:
            ConfigurationError: A setting that no file can be read with.
            HostError: Trouble of this machine.
        """
        known = self.known.get((source.key, source.stamp))
        if known and (known.tile is None or known.facts is None or checksum(known.tile) == known.facts.sha256):
            return known
        try:
            return self._decoded(source)
        except (HostError, ConfigurationError):
            raise
        except XrError as error:
            return Outcome(reason=error.what, way_out=error.way_out, passes=isinstance(error, PassingError))
        except MemoryError:
            return Outcome(reason="too large for the memory of this machine", passes=True)
        except Exception as error:  # one odd file among thousands does not end the work
            return Outcome(reason=f"the reader failed: {type(error).__name__}")

    def _decoded(self, source: FilmSource) -> Outcome:
        pixels, facts = self.film(source)
        size, fit = self.settings.size, self.settings.fit
        tile = tile_of(pixels, size, fit)
        facts = replace(
            facts,
            sha256=checksum(tile),
            phash=perceptual_hash(tile),
            spacing_mm=tile_spacing(facts.spacing_mm, (pixels.shape[0], pixels.shape[1]), size, fit),
            range_doubt=range_doubt(pixels),
        )
        return Outcome(tile, facts)
