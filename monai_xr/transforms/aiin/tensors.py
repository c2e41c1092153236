"""AIIN of tensors on any device: equalises all images of a batch at once.

The path of CUDA tensors; on the CPU `aiin_arrays` is faster. Indices are 32-bit, and nothing is read back to the host
once the values are checked, so that `validate=False` can be captured or compiled into one graph. Mode "opencv" keeps
OpenCV's order of float32 operations: multiplications and additions stay separate calls, since a fused one can be a
level off.
"""

import torch
from torch import Tensor

from monai_xr.transforms.aiin.arrays import check_depth, check_range
from monai_xr.transforms.aiin.settings import Rule, Settings, Tiles

PIXELS_AT_ONCE = 1 << 24  # bounds the temporaries; smaller batches run in one go
ENTRIES_AT_ONCE = 1 << 28  # of tables; their places are 32-bit


def to_bins(images: Tensor, settings: Settings, *, validate: bool = True) -> Tensor:
    """Check the values and count them into bins, int32."""
    name, is_float = str(images.dtype).removeprefix("torch."), images.is_floating_point()
    whole = not (is_float or images.is_complex() or images.dtype == torch.bool)
    check_depth(name, is_float, images.element_size() * 8 if whole else 0, settings)
    if images.dtype == torch.uint16:  # whose extremes no device gives
        images = images.to(torch.int32)
    if validate and images.dtype != torch.uint8:
        low, high = torch.stack(images.aminmax()).tolist()
        check_range(low, high, settings, whole=whole)
    if is_float:
        levels = images.float().clamp(0, 1).mul_(settings.levels - 1).round_().to(torch.int32)
    else:
        levels = images.to(torch.int32)
    return levels >> settings.shift if settings.shift else levels


def equalise(images: Tensor, tiles: Tiles, settings: Settings, *, validate: bool = True) -> Tensor:
    """Equalise each image of a batch (B, D, H, W) by its own histograms."""
    at_once = max(1, min(PIXELS_AT_ONCE // images[0].numel(), ENTRIES_AT_ONCE // (tiles.number * settings.bins)))
    parts = [_equalised(part, tiles, settings, validate) for part in torch.split(images, at_once)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _equalised(images: Tensor, tiles: Tiles, settings: Settings, validate: bool) -> Tensor:
    bins = to_bins(images, settings, validate=validate)
    mapped = map_bins(bins, tables_of(bins, tiles, settings), tiles, (0, 0, 0))
    return finish(mapped, images, settings)


def equalise_inside(images: Tensor, inside: Tensor, tiles: Tiles, settings: Settings) -> Tensor:
    """Equalise each image by its pixels inside the mask (B, D, H, W); the others stay as they are."""
    bins = to_bins(images, settings)
    mapped = finish(map_bins(bins, tables_of(bins, tiles, settings, inside), tiles, (0, 0, 0)), images, settings)
    return torch.where(inside, mapped, images.to(mapped.dtype))


def map_image(images: Tensor, tables: Tensor, place: tuple[Tiles, tuple[int, ...]], settings: Settings) -> Tensor:
    """Map one image (1, D, H, W) through tables; `place` holds their tiles and the image's corner among them."""
    mapped = map_bins(to_bins(images, settings), tables[None], place[0], place[1])
    return finish(mapped, images, settings)


def finish(mapped: Tensor, images: Tensor, settings: Settings) -> Tensor:
    """Bring levels to the scale and type of the result, as `aiin_arrays.new_result` says; `mapped` is used up."""
    mapped = mapped.round_() if settings.mode == "opencv" else mapped.clamp_(max=settings.levels - 1)
    if images.is_floating_point():
        return mapped.div_(settings.levels - 1)
    return mapped.to(images.dtype) if settings.mode == "opencv" else mapped


def tables_of(bins: Tensor, tiles: Tiles, settings: Settings, inside: Tensor | None = None) -> Tensor:
    """Give the tables (B, tiles, bins), float32 levels; `inside` (B, D, H, W) marks the pixels that count."""
    counts = _histograms(bins, tiles, settings.bins, inside)  # (B, tiles, bins)
    pixels = torch.full_like(counts[..., :1], tiles.pixels)  # (B, tiles, 1)
    if inside is not None:
        pixels = counts.sum(-1, keepdim=True, dtype=torch.int32)
        counts = torch.where(pixels > 0, counts, counts.sum(1, keepdim=True, dtype=torch.int32))
        pixels = counts.sum(-1, keepdim=True, dtype=torch.int32).clamp_(min=1)
    return (_exact_tables if settings.rule.exact else _opencv_tables)(counts, pixels, settings.rule)


def _mirrored(length: int, padded: int, device: torch.device) -> Tensor:
    index = torch.arange(padded, dtype=torch.int32, device=device)
    if length == 1:
        return torch.zeros_like(index)
    index = index % (2 * (length - 1))
    return torch.minimum(index, 2 * (length - 1) - index)


def _padded(bins: Tensor, tiles: Tiles) -> Tensor:
    """Reflect the image at its last pixels until the tiles are full."""
    axes = ((tiles.layers, tiles.depth), (tiles.rows, tiles.height), (tiles.columns, tiles.width))
    for axis, (number, length) in enumerate(axes, start=1):
        if bins.shape[axis] != number * length:
            bins = bins.index_select(axis, _mirrored(bins.shape[axis], number * length, bins.device))
    return bins


def _histograms(bins: Tensor, tiles: Tiles, number: int, inside: Tensor | None) -> Tensor:
    batch = bins.shape[0]
    grid = torch.arange(batch * tiles.number, dtype=torch.int32, device=bins.device) * number
    split = (batch, tiles.layers, tiles.depth, tiles.rows, tiles.height, tiles.columns, tiles.width)
    first = grid.view(batch, tiles.layers, 1, tiles.rows, 1, tiles.columns, 1)
    places = (_padded(bins, tiles).view(split) + first).view(-1)  # (B * padded pixels,)
    counts = torch.zeros(batch * tiles.number * number, dtype=torch.int32, device=bins.device)
    if inside is None:
        ones = torch.ones(1, dtype=torch.int32, device=bins.device).expand(places.shape)
    else:
        ones = _padded(inside.to(torch.int32), tiles).reshape(-1)
    return counts.index_add_(0, places, ones).view(batch, tiles.number, number)


def _opencv_tables(counts: Tensor, pixels: Tensor, rule: Rule) -> Tensor:
    """Clip at a whole count, spread the excess once over all bins, then the rest over evenly spaced ones."""
    if rule.clip_limit > 0:
        limit = torch.minimum(pixels.double() * rule.clip_limit / rule.bins, pixels.double())
        limit = limit.to(torch.int32).clamp_(min=1)
        excess = (counts - limit).clamp_(min=0).sum(-1, keepdim=True, dtype=torch.int32)
        share = torch.div(excess, rule.bins, rounding_mode="floor")
        rest = excess - share * rule.bins
        step = torch.div(rule.bins, rest.clamp(min=1), rounding_mode="floor").to(torch.int32)
        index = torch.arange(rule.bins, dtype=torch.int32, device=counts.device)
        extra = (index % step == 0) & (torch.div(index, step, rounding_mode="floor") < rest)
        counts = torch.minimum(counts, limit) + share + extra
    scale = torch.full_like(pixels, rule.top, dtype=torch.float32) / pixels.float()
    return (counts.cumsum(-1, dtype=torch.int32).float() * scale).round_().clamp_(max=rule.top)


def _exact_tables(counts: Tensor, pixels: Tensor, rule: Rule) -> Tensor:
    """Clip at a real count and spread the excess evenly: the closed form, without a rest."""
    kept = counts.double()
    if rule.clip_limit > 0:
        kept = torch.minimum(kept, pixels.double() * (rule.clip_limit / rule.bins))
    total = kept.cumsum(-1)
    share = (pixels - total[..., -1:]) / rule.bins
    index = torch.arange(1, rule.bins + 1, dtype=torch.float64, device=counts.device)
    return ((total + index * share) * (rule.top / pixels.double())).float()


def _between(length: int, offset: int, tile: int, number: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Give, for each pixel of an axis, the two tiles between whose centres it lies and the weight of the second."""
    one = torch.ones(1, dtype=torch.float32, device=device)
    place = torch.arange(offset, offset + length, dtype=torch.float32, device=device) * (one / tile) - 0.5
    first = place.floor()
    near = first.clamp(0, number - 1).to(torch.int32)
    far = (first + 1).clamp(0, number - 1).to(torch.int32)
    return near, far, place - first


def map_bins(bins: Tensor, tables: Tensor, tiles: Tiles, origin: tuple[int, ...]) -> Tensor:
    """Map bins (B, D, H, W) through tables (B, tiles, bins) to levels, float32, in OpenCV's order of operations."""
    batch, depth, height, width = bins.shape
    x = _between(width, origin[2], tiles.width, tiles.columns, bins.device)
    y = _between(height, origin[1], tiles.height, tiles.rows, bins.device)
    z = _between(depth, origin[0], tiles.depth, tiles.layers, bins.device)
    number = tables.shape[-1]
    images = torch.arange(batch, dtype=torch.int32, device=bins.device).view(-1, 1, 1, 1) * (tiles.number * number)
    base, flat = bins + images, tables.reshape(-1)

    def looked_up(layer: Tensor, row: Tensor, column: Tensor) -> Tensor:
        tile = (layer[:, None, None] * tiles.rows + row[:, None]) * tiles.columns + column  # (D or 1, H, W)
        return flat.index_select(0, (base + tile * number).view(-1)).view(bins.shape)

    def along_row(layer: Tensor, row: Tensor) -> Tensor:
        return (looked_up(layer, row, x[0]).mul_(1 - x[2])).add_(looked_up(layer, row, x[1]).mul_(x[2]))

    def in_plane(layer: Tensor) -> Tensor:
        weight = y[2][:, None]
        return along_row(layer, y[0]).mul_(1 - weight).add_(along_row(layer, y[1]).mul_(weight))

    near = in_plane(z[0])
    if tiles.layers == 1:
        return near
    weight = z[2][:, None, None]
    return near.mul_(1 - weight).add_(in_plane(z[1]).mul_(weight))
