"""AIIN's speed beside OpenCV and kornia, one thread, in interleaved pairs; on a GPU beside the memory floor.

Run as `python tests/bench/bench_aiin.py`; the exit code tells whether every ratio is met.
"""

import sys
import warnings
from collections.abc import Callable

import cv2
import numpy as np
import torch
from pairs import compare

from monai_xr.transforms.aiin import tensors as aiin_tensors
from monai_xr.transforms.aiin.settings import checked_settings, lay_tiles
from monai_xr.transforms.aiin.transforms import AIINWarning, aiin, aiin_batch

GRID, CLIP_LIMIT = (8, 8), 2.0
LINEAR = 1.25  # for each doubling of a side; the step out of a cache is a tenth
Images = np.ndarray


def films(pixels: int, batch: int, bits: int) -> Images:
    """Give smooth fields with noise, most levels in use, as whole levels."""
    rng = np.random.default_rng(pixels + batch)
    fields = []
    for _ in range(batch):
        coarse = rng.random((12, 12)).astype(np.float32)
        field = cv2.resize(coarse, (pixels, pixels), interpolation=cv2.INTER_CUBIC)
        fields.append(0.1 + 0.8 * field + rng.normal(0, 0.02, field.shape))
    top = (1 << bits) - 1
    return np.clip(np.stack(fields) * top, 0, top).astype(np.uint8 if bits == 8 else np.uint16)


def opencv_loop(images: Images, bits: int) -> Callable[[], object]:
    """OpenCV's best way through a batch: one object, and its bit shift for deep images."""
    clahe = cv2.createCLAHE(CLIP_LIMIT, GRID)
    if bits == 8:
        return lambda: [clahe.apply(image) for image in images]
    clahe.setBitShift(16 - bits)
    return lambda: [clahe.apply(image << (16 - bits)) >> (16 - bits) for image in images]


def beside_opencv() -> list[bool]:
    cases = [(64, 64, 8), (256, 16, 8), (2048, 1, 8), (256, 8, 12), (2048, 1, 12)]
    met = []
    for pixels, batch, bits in cases:
        images = films(pixels, batch, bits)
        theirs = opencv_loop(images, bits)
        for mode, bound in (("opencv", 1.05 if bits == 8 else 1.0), ("exact", 0.8 if bits == 8 else 1.0)):
            name = f"{pixels} px batch {batch} {bits} bits {mode}, against OpenCV"
            met.append(compare(name, _batch(images, mode, bits), theirs, bound))
    return met


def _batch(images: Images | torch.Tensor, mode: str, bits: int) -> Callable[[], object]:
    return lambda: aiin_batch(images, GRID, CLIP_LIMIT, mode, bits=bits)


def beside_kornia() -> list[bool]:
    from kornia.enhance import equalize_clahe

    images = torch.from_numpy(films(256, 16, 8)[:, None] / np.float32(255))
    name = "256 px batch 16 floats {}, against kornia"
    return [
        compare(name.format(mode), _batch(images, mode, 8), lambda: equalize_clahe(images, CLIP_LIMIT, GRID), 1 / 8)
        for mode in ("opencv", "exact")
    ]


def cost_by_pixel() -> list[bool]:
    """From 64 to 4096 px: each size against as many pixels in the half size, whose tables cost as much again."""
    met = []
    for pixels in (128, 256, 512, 1024, 2048, 4096):
        large, small = films(pixels, 1, 8)[0], films(pixels // 2, 1, 8)[0]
        repeats = max(1, 256 // pixels)

        def whole(image: Images = large, repeats: int = repeats) -> None:
            for _ in range(repeats):
                aiin(image, GRID, CLIP_LIMIT, "exact")

        def parts(image: Images = small, repeats: int = repeats) -> None:
            for _ in range(4 * repeats):
                aiin(image, GRID, CLIP_LIMIT, "exact")

        met.append(compare(f"{pixels} px, against four of {pixels // 2} px (linear: 1)", whole, parts, LINEAR))
    return met


def on_gpu() -> list[bool]:
    """Replay the captured call; the floor reads 8-bit levels twice as 16 bits and writes floats: 8 bytes a pixel."""
    from kornia.enhance import equalize_clahe

    met = []
    for pixels, bound in ((256, float("inf")), (1024, 5.0)):  # launches bound the time of the small one
        images = torch.from_numpy(films(pixels, 8, 8)).repeat(8, 1, 1)[:, None].cuda()
        floats = images / 255
        source = torch.empty(images.numel() * 4, dtype=torch.uint8, device="cuda")  # a copy moves 8 bytes a pixel
        target = torch.empty_like(source)
        floor = _captured(lambda source=source, target=target: target.copy_(source))
        theirs = _waited(lambda floats=floats: equalize_clahe(floats, CLIP_LIMIT, GRID))
        for mode in ("opencv", "exact"):
            for kind, ours in (
                ("calls", _on_device(images, mode)),
                ("compiled", torch.compile(_on_device(images, mode))),
            ):
                name, replay = f"CUDA 64 x {pixels} px {mode} {kind}", _captured(ours)
                met.append(compare(f"{name}, against the memory floor", replay, floor, bound))
                met.append(compare(f"{name}, against kornia", replay, theirs, 1.0))
    return met


def _on_device(images: torch.Tensor, mode: str) -> Callable[[], object]:
    chosen = checked_settings(GRID, CLIP_LIMIT, mode, 8)
    tiles = lay_tiles(tuple(images.shape[2:]), chosen)
    return lambda: aiin_tensors.equalise(images, tiles, chosen, validate=False)


def _captured(job: Callable[[], object]) -> Callable[[], object]:
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            job()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = job()
    return _waited(lambda: (graph.replay(), kept)[0])


def _waited(job: Callable[[], object]) -> Callable[[], object]:
    def run() -> None:
        job()
        torch.cuda.synchronize()

    return run


def main() -> int:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", AIINWarning)
    met = [*beside_opencv(), *beside_kornia(), *cost_by_pixel()]
    if torch.cuda.is_available():
        met += on_gpu()
    else:
        print("skip CUDA rows: no device")
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
