"""The kernel distance (KID) between two sets of features, with its interval (Binkowski et al. 2018, 1801.01401).

The squared maximum mean discrepancy under the kernel (x.y / d + 1)^3, in its unbiased form: two samples of one
population are 0 apart on average at any count, where a Frechet distance is not.

Differs from the paper: whole sets take the place of a mean over subsets of 1,000. Both estimate the same quantity, this
one with the least variance, for sets of any size, and it has an interval. Pairs of images of one patient are left out,
since they are more alike than two patients of one population are, and the kernel is centred for that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from monai_xr.metrics.checks import check_features
from monai_xr.metrics.intervals import Interval, Numbers, Values, numbered, of_square
from monai_xr.metrics.precision import full_precision

_BLOCK_ENTRIES = 1 << 23  # 64 MiB of kernel values at a time
_MOST_CENTRED = 1024  # images of a set from which the variance between sets of one population is taken


@dataclass(frozen=True)
class KernelDistance:
    """A kernel distance and how sure it is.

    Args:
        value: Lower is closer; about 0, so at times below it, for two samples of one population.
        interval: 95 % interval for the choice of patients; None below 3 a side or where nothing varies.
        count: Images on the smaller side.
        pulls: What the value loses without each patient of the first and of the second set, about their means.
        null_variance: Of the value if both sets came from one population: what the first set adds, and the rest.
    """

    value: float
    interval: Interval | None
    count: int
    pulls: tuple[Values, Values] = field(default=(np.empty(0), np.empty(0)), compare=False, repr=False)
    null_variance: tuple[float, float] = (0.0, 0.0)

    def __float__(self) -> float:
        return self.value

    def beyond(self, floor: "KernelDistance") -> "KernelDistance":
        """Give how much farther this set is than another from the same first set, with the interval of the difference.

        It is below 0 for a nearer set; which of the two is compared with which changes the sign alone.

        Args:
            floor: Distance of the other set to the same first set.
        """
        value, count = self.value - floor.value, min(self.count, floor.count)
        if self.interval is None or floor.interval is None:
            return KernelDistance(value, None, count)
        shared = self.pulls[0] - floor.pulls[0]
        null = self.null_variance[1] + floor.null_variance[1]
        low, high = _interval(abs(value), (shared, self.pulls[1], floor.pulls[1]), null)
        return KernelDistance(value, (low, high) if value > 0 else (-high, -low), count)


@full_precision
def kernel_distance(
    real_features: Tensor,
    synthetic_features: Tensor,
    *,
    patients: Sequence[str] | None = None,
    synthetic_patients: Sequence[str] | None = None,
) -> KernelDistance:
    """Give the unbiased squared MMD of two sets of features, with its 95 % interval.

    Counts need not be equal. The interval takes the jackknife variance (each patient left out once), less what that
    counts twice, and near 0 the variance of two samples of one population.

    Args:
        real_features: (N, d).
        synthetic_features: (M, d).
        patients: Of each real image; each its own if None.
        synthetic_patients: Of each image of the other set, where it is of real images.

    Raises:
        InputDataError: Fewer than 2 rows, NaN, or different d.

    >>> features = torch.rand(40, 4, generator=torch.Generator().manual_seed(0))
    >>> kernel_distance(features, features + 1).value > 0.1
    True
    """
    check_features(real_features, synthetic_features)
    x, y = real_features.double(), synthetic_features.double()
    whose = numbered(len(x), patients), numbered(len(y), synthetic_patients)
    films = [np.bincount(each) for each in whose]
    within, across, scale = _centred_sums((x, y), whose)
    n, m = len(x), len(y)
    pairs = [count**2 - int((each**2).sum()) for count, each in zip((n, m), films, strict=True)]
    means = [float(sums.sum()) / number if number else 0.0 for sums, number in zip(within, pairs, strict=True)]
    value = means[0] + means[1] - 2 * float(across[0].sum()) / (n * m)
    lefts = [pairs[side] - 2 * films[side] * (count - films[side]) for side, count in enumerate((n, m))]
    if any((left <= 0).any() for left in lefts):
        return KernelDistance(value, None, min(n, m))
    pulls = []  # of each patient left out
    for side, (count, other) in enumerate(((n, m), (m, n))):
        without = (within[side].sum() - 2 * within[side]) / lefts[side] + means[1 - side]
        without -= 2 * (across[side].sum() - across[side]) / ((count - films[side]) * other)
        pulls.append(without - without.mean())
    null = _null_variances((x, y), whose)
    rounding = 1e-12 * scale  # of sets that are all one image
    seen = max(float(np.abs(each).max()) for each in pulls) > rounding
    interval = _interval(value, pulls, sum(null)) if seen else None
    return KernelDistance(value, interval, min(n, m), (pulls[0], pulls[1]), null)


def _interval(value: float, pulls: Sequence[Values], null_variance: float) -> Interval:
    """Take from the jackknife the part of pairs, which it counts twice; half of it is the least that can be true."""
    jackknife = sum(float((each**2).sum()) * (len(each) - 1) / len(each) for each in pulls)
    degrees = min(len(each) for each in pulls) - 1
    return of_square(value, max(jackknife - null_variance, jackknife / 2), null_variance, degrees)


def _centred_sums(
    sets: tuple[Tensor, Tensor], whose: tuple[Numbers, Numbers]
) -> tuple[list[Values], list[Values], float]:
    """Give sums of the kernel by patient: over other patients of the set, and over the other set; and its mean.

    The kernel has the means over both sets taken off. Where all patients have equally many films that changes nothing.
    Elsewhere films of patients with many weigh otherwise within their set than across, and the rest would not cancel.
    """
    own = [_kernel_sums(each, each, of) for each, of in zip(sets, whose, strict=True)]
    across = _kernel_sums(*sets)
    count = [len(each) for each in sets]
    means = [(all_films + other) / sum(count) for (_, all_films), other in zip(own, across, strict=True)]
    middle = (means[0].sum() + means[1].sum()) / sum(count)
    within_sums, across_sums = [], []
    for side, of in enumerate(whose):
        films, mean = np.bincount(of), _summed(means[side], of)
        others = count[side] - films
        centred = _summed(own[side][0], of) - others * mean - films * (mean.sum() - mean)
        within_sums.append(centred + films * others * float(middle))
        centred = _summed(across[side], of) - count[1 - side] * mean - films * float(means[1 - side].sum())
        across_sums.append(centred + films * count[1 - side] * float(middle))
    return within_sums, across_sums, float(middle)


def _summed(values: Tensor, patient: Numbers) -> Values:
    sums: Values = np.bincount(patient, values.cpu().numpy()).astype(np.float64)
    return sums


def _kernel_sums(x: Tensor, y: Tensor, patient: Numbers | None = None) -> tuple[Tensor, Tensor]:
    """Give the sums of the kernel of x (N, d) and y (M, d) over the other set: (N,) and (M,).

    With patients the sets are one: the sums are those over films of other patients, and those over all films.
    """
    rows, columns = [], torch.zeros(len(y), dtype=x.dtype, device=x.device)
    whose = None if patient is None else torch.from_numpy(patient).to(x.device)
    size = max(1, _BLOCK_ENTRIES // len(y))
    for start, block in zip(range(0, len(x), size), torch.split(x, size), strict=True):
        kernel = _kernel(block, y)
        columns += kernel.sum(0)
        if whose is not None:
            kernel.masked_fill_(whose[start : start + size, None] == whose, 0.0)
        rows.append(kernel.sum(1))
    return torch.cat(rows), columns


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    base = (x @ y.T).div_(x.shape[1]).add_(1)
    return base.square().mul_(base)  # a power of 3 takes ten times as long


def _null_variances(sets: tuple[Tensor, Tensor], whose: tuple[Numbers, Numbers]) -> tuple[float, float]:
    """Give the variance of the distance of two samples of one population: what the first adds, and the rest.

    It is that of sums over pairs of the kernel whose means over either side are taken off, by film and then by patient.
    """
    some = [_first(each, of) for each, of in zip(sets, whose, strict=True)]
    parts = []
    for (x, of_x), (y, of_y) in ((some[0], some[0]), (some[1], some[1]), (some[0], some[1])):
        kernel = _by_patient(_centred(_kernel(x, y)), of_x, of_y)
        same = of_x is of_y
        parts.append(_mean_square(kernel, same=same))
    counts = [(len(each), int(of.max()) + 1) for each, of in zip(sets, whose, strict=True)]
    (n, p), (m, q) = counts
    return 2 * parts[0] * p * (p - 1) / n**4, 2 * parts[1] * q * (q - 1) / m**4 + 4 * parts[2] * p * q / (n * m) ** 2


def _first(features: Tensor, patient: Numbers) -> tuple[Tensor, Numbers]:
    """Give the images of the first patients, about as many images as the variance needs, with numbers without gaps."""
    if len(features) <= _MOST_CENTRED:
        return features, patient
    last = int(np.searchsorted(np.cumsum(np.bincount(patient)), _MOST_CENTRED))
    kept = np.flatnonzero(patient <= max(last, 3))
    return features[torch.from_numpy(kept)], patient[kept]


def _centred(kernel: Tensor) -> Tensor:
    """Take the means over rows and columns off a kernel (N, M): sums over many films would be large by these alone."""
    return kernel - kernel.mean(0) - kernel.mean(1)[:, None] + kernel.mean()


def _by_patient(kernel: Tensor, rows: Numbers, columns: Numbers) -> Values:
    """Give the sums (P, Q) of a kernel (N, M) over the images of each pair of patients."""
    table = kernel.cpu().numpy()
    for axis, patient in enumerate((rows, columns)):
        if int(patient.max()) + 1 < len(patient):
            order = np.argsort(patient, kind="stable")
            starts = np.searchsorted(patient[order], np.arange(int(patient.max()) + 1))
            table = np.add.reduceat(np.take(table, order, axis), starts, axis)
    return table


def _mean_square(kernel: Values, *, same: bool) -> float:
    """Give the mean square of a kernel between patients (P, Q), its means over rows and columns taken off."""
    if not same:
        centred = kernel - kernel.mean(0) - kernel.mean(1)[:, None] + kernel.mean()
        return float((centred**2).sum() / max((kernel.shape[0] - 1) * (kernel.shape[1] - 1), 1))
    count = len(kernel)
    if count < 4:
        return 0.0
    kernel = kernel.copy()
    np.fill_diagonal(kernel, 0.0)
    means = kernel.sum(1) / (count - 2)
    centred = kernel - means[:, None] - means + kernel.sum() / ((count - 1) * (count - 2))
    np.fill_diagonal(centred, 0.0)
    return float((centred**2).sum()) / (count * (count - 3))
