"""Gives what a finding adds to the lungs of one body, as cm of water, with its mask."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monai_xr.data.phantoms.anatomy import Anatomy, Field, boxy_chord, chord, smooth_noise, step
from monai_xr.data.phantoms.soft_tissue import Chest


@dataclass(frozen=True)
class Lungs:
    """What a finding may change: the patient, the chest on the grid, vessels and the free density of lung."""

    body: Anatomy
    chest: Chest
    vessels: Field

    @property
    def air(self) -> Field:
        """Give the cm of water that would fill the air of the lungs."""
        return self.chest.lung * np.float32(1 - self.body.lung_density)

    @property
    def height(self) -> Field:
        """Give the relative height in the lungs: 0 at the apex, 1 at the dome."""
        span = self.body.dome_right - self.body.apex
        return (self.chest.y - np.float32(self.body.apex)) / np.float32(span)


Change = tuple[Field, NDArray[np.bool_]]


def normal(lungs: Lungs, rng: np.random.Generator) -> Change:
    """Add nothing."""
    return np.zeros_like(lungs.air), np.zeros(lungs.air.shape, bool)


def consolidation(lungs: Lungs, rng: np.random.Generator) -> Change:
    """Fill the air spaces of one lobe, with a sharp fissure and dark bronchi left in it."""
    chest = lungs.chest
    side = -1.0 if rng.random() < 0.55 else 1.0
    upper = bool(rng.random() < 0.4)
    pixels = chest.x.shape[0]
    ragged = 0.07 * smooth_noise(rng, pixels, 9) + 0.03 * smooth_noise(rng, pixels, 22)
    tilt = float(rng.uniform(-0.06, 0.08)) * (side * chest.x - 6) / 6
    if upper:
        fissure = step(np.float32(rng.uniform(0.42, 0.55)) + tilt - lungs.height + 0.15 * ragged, 0.03)
        fade = step(lungs.height - np.float32(rng.uniform(-0.05, 0.18)) + ragged, 0.1)
    else:
        fissure = step(lungs.height - np.float32(rng.uniform(0.5, 0.62)) - tilt + 0.6 * ragged, 0.06)
        fade = step(np.float32(rng.uniform(0.95, 1.25)) - lungs.height + ragged, 0.1)
    reach = step(np.float32(rng.uniform(0.85, 1.15)) - side * chest.x / chest.width + 1.5 * ragged, 0.1)
    share = fissure * fade * reach * step(side * chest.x, 0.2)
    patchy = np.clip(0.82 + 0.16 * smooth_noise(rng, pixels, 14) + 0.1 * smooth_noise(rng, pixels, 34), 0.5, 1)
    bronchi = np.clip(lungs.vessels / np.float32(0.35), 0, 1) * np.float32(0.3)
    share = share * patchy * float(rng.uniform(0.78, 0.95))
    return np.asarray(lungs.air * share * (1 - bronchi), np.float32), (share > 0.2) & (lungs.air > 0.5)


def effusion(lungs: Lungs, rng: np.random.Generator) -> Change:
    """Pour fluid into the pleural space: the angle is blunted, the meniscus climbs the side wall."""
    chest = lungs.chest
    both = rng.random() < 0.25
    first = -1.0 if rng.random() < 0.5 else 1.0
    share = np.zeros_like(lungs.air)
    for side in (first, -first) if both else (first,):
        dome = lungs.body.dome_right if side < 0 else lungs.body.dome_left
        level = dome - float(rng.choice([rng.uniform(-1.0, 1.5), rng.uniform(1.5, 7.0)]))
        to_wall = np.clip(chest.width - side * chest.x, 0, None)
        climb = np.float32(rng.uniform(2.8, 5.0)) * np.exp(-to_wall / np.float32(rng.uniform(2.0, 3.4)))
        climb += np.float32(0.8) * np.exp(-np.clip(side * chest.x - 2.0, 0, None) / np.float32(1.6))
        depth = chest.y - np.float32(level) + climb
        filled = np.clip(depth / np.float32(3.0), 0, 1) ** np.float32(0.6)
        share = np.maximum(share, filled * step(side * chest.x, 0.2))
    # Fluid also fills the recess in front of and behind the dome, where little lung is left.
    recess = 2 * chest.depth * boxy_chord(chest.x / chest.width) * step(np.float32(6.0) - chest.diaphragm, 1.5)
    fluid = lungs.air * share + 0.1 * recess * share * step(chest.diaphragm, 1.0)
    return np.asarray(fluid, np.float32), (share > 0.25) & (lungs.air > 0.3)


def nodules(lungs: Lungs, rng: np.random.Generator) -> Change:
    """Place one to seven rounded, slightly lobed nodules well inside the lungs."""
    chest = lungs.chest
    added = np.zeros_like(lungs.air)
    mask = np.zeros(lungs.air.shape, bool)
    count = int(rng.choice([1, 2, 3, 4, 5, 7]))
    for _ in range(count):
        centre_x, centre_y = _inner_point(lungs, rng)
        radius = float(rng.uniform(0.75, 1.3) if count > 2 else rng.uniform(1.0, 2.2))
        angle = np.arctan2(chest.y - centre_y, chest.x - centre_x)
        phase, lobes = float(rng.uniform(0, 6.28)), int(rng.integers(2, 4))
        edge = radius * (1 + 0.05 * np.sin(lobes * angle + phase))
        away = np.hypot(chest.x - centre_x, chest.y - centre_y) / edge
        added = np.maximum(added, np.float32(2.0 * radius * 1.5) * chord(away) ** np.float32(0.7))
        mask |= away < 1
    return np.minimum(added, lungs.air), mask & (lungs.air > 0)


def _inner_point(lungs: Lungs, rng: np.random.Generator) -> tuple[float, float]:
    """Draw a point with much lung around it; in body coordinates, so that it is the same at every picture size."""
    body, chest = lungs.body, lungs.chest
    enough = np.float32(0.55) * lungs.air.max()
    x, y = 0.5 * body.half_width, 0.5 * (body.apex + body.dome_right)
    for _ in range(60):
        x = float(rng.uniform(-0.9, 0.9)) * body.half_width
        y = float(rng.uniform(body.apex + 1.5, body.dome_right - 0.5))
        at = np.unravel_index(np.argmin((chest.x - x) ** 2 + (chest.y - y) ** 2), chest.x.shape)
        if lungs.air[at] > enough and abs(x) < chest.width[at] - 1.6:
            break
    return x, y


def ground_glass(lungs: Lungs, rng: np.random.Generator) -> Change:
    """Lay patchy haze over the outer and lower parts of both lungs; vessels stay visible through it."""
    chest = lungs.chest
    pixels = chest.x.shape[0]
    outward = np.clip(np.abs(chest.x) / chest.width, 0, 1)
    patches = 0.7 * smooth_noise(rng, pixels, 5) + 0.2 * smooth_noise(rng, pixels, 11)
    wish = 1.6 * outward + 0.9 * lungs.height - np.float32(rng.uniform(0.85, 1.25)) + 0.42 * patches
    grain = 1 + 0.12 * smooth_noise(rng, pixels, 60) + 0.08 * smooth_noise(rng, pixels, 30)
    share = step(wish, 0.45) * np.float32(rng.uniform(0.28, 0.46)) * grain
    return np.asarray(lungs.air * np.clip(share, 0, 0.6), np.float32), (share > 0.1) & (lungs.air > 0.5)


FINDINGS: dict[str, Callable[[Lungs, np.random.Generator], Change]] = {
    "NORMAL": normal,
    "CONSOLIDATION": consolidation,
    "EFFUSION": effusion,
    "NODULES": nodules,
    "GROUND_GLASS": ground_glass,
}
