"""MSG-GAN, and MSG-SAGAN as its setting `attention_sizes`: latents to an image at every scale, and back to one score.

Sources: Karnewar and Wang 2020 with the layers of its public code (MSG-GAN); arXiv 2210.06334 (MSG-SAGAN);
Zhang et al. 2019 (self-attention). Channels at full width, generator: 512 up to 32 pixels, then 256 (64), 128 (128),
64 (256), 32 (512). Every scale is 4, 8, ..., `image_size`.

Differs from the paper: arXiv 2210.06334 does not print where its attention sits. Here `attention_sizes: [32]` puts one
block after the 32 x 32 stage of each network and changes nothing else. Its keys and values are pooled as in SAGAN's
public code. Its gamma starts at 0, where the network is MSG-GAN exactly; the attention layers are drawn last, so that
one seed gives both networks the same other weights. Images have one channel, not three.

Differs from the public code of MSG-GAN: untrained images have a standard deviation of 0.15, not of sqrt(2). Films vary
by 0.1 (4 px) to 0.4 (64 px), and the first thing a generator that starts ten times too wide learns is to make its
features alike for all latents; it then gave one image for all of them. `image_gain=2**0.5` is the code's.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_xr.errors import ConfigurationError
from monai_xr.networks.blocks import doublings
from monai_xr.networks.interfaces import Discriminator, DiscriminatorOutput, Generator
from monai_xr.networks.layers import EqualizedConv2d, EqualizedConvTranspose2d, MinibatchStd, PixelNorm, attention_at


def _scales(image_size: int) -> tuple[int, ...]:
    """4, 8, ..., image_size."""
    return tuple(4 << i for i in range(doublings(image_size, 4) + 1))


def _widths(sizes: Sequence[int], width: int) -> dict[int, int]:
    """Channels by size: `width` up to 32 pixels, then halved at every doubling."""
    widths = {size: min(width, width * 32 // size) for size in sizes}
    if widths[sizes[-1]] < 2 or width % 2:
        needed = max(2, 2 * sizes[-1] // 32)
        raise ConfigurationError(f"width {width} is too small or odd", "width", f"even, at least {needed}")
    return widths


class MSGGANGenerator(Generator):
    """Latents (B, Z) to images (B, channels, s, s) for s = 4, 8, ..., image_size.

    Images are linear in the last features: they are meant to lie in [-1, 1] but may leave it.

    Args:
        image_size: Height = width of the finest image in pixels, a power of two from 32 to 512.
        latent_size: Z; latents are scaled to length sqrt(Z) before use.
        channels: Image channels.
        width: Channels of the feature maps up to 32 pixels, halved at every doubling beyond.
        attention_sizes: Sizes in pixels, 8 to `image_size`, after whose stage self-attention follows.
        image_gain: Standard deviation of untrained images, at every scale.
    """

    def __init__(
        self,
        *,
        image_size: int = 64,
        latent_size: int = 512,
        channels: int = 1,
        width: int = 512,
        attention_sizes: Sequence[int] = (),
        image_gain: float = 0.15,
    ) -> None:
        super().__init__()
        self.latent_size, self.sizes, self.channels = latent_size, _scales(image_size), channels
        widths = _widths(self.sizes, width)
        self.stages = nn.ModuleList([_first_stage(latent_size, width)])
        for size in self.sizes[1:]:
            self.stages.append(_growing_stage(widths[size // 2], widths[size]))
        self.to_image = nn.ModuleList(
            EqualizedConv2d(widths[size], channels, 1, gain=image_gain) for size in self.sizes
        )
        later = {size: widths[size] for size in self.sizes[1:]}
        self.attention = attention_at(later, attention_sizes)

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> list[Tensor]:
        """Generate a batch at every scale, coarse to fine; `condition` is not used by this family."""
        features = F.normalize(latents, dim=1)[:, :, None, None] * self.latent_size**0.5
        images = []
        size = 4
        for stage, to_image in zip(self.stages, self.to_image):  # noqa: B905 - TorchScript zips without `strict`
            features = stage(features)  # (B, width at size, size, size)
            for at, attention in self.attention.items():  # which it does not look up by name either
                if at == str(size):
                    features = attention(features)
            images.append(to_image(features))
            size *= 2
        return images


class MSGGANDiscriminator(Discriminator):
    """Images at every scale, 4 to image_size, to a critic value (B,).

    Each coarser image joins the features of the finer ones by concatenation, image part first.

    Args:
        image_size: Height = width of the finest image in pixels, a power of two from 32 to 512.
        channels: Image channels.
        width: Channels of the feature maps up to 32 pixels, halved at every doubling beyond.
        attention_sizes: Sizes in pixels, 8 to `image_size`, after whose convolutions self-attention follows.
    """

    def __init__(
        self, *, image_size: int = 64, channels: int = 1, width: int = 512, attention_sizes: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.sizes = _scales(image_size)
        widths = _widths(self.sizes, width)
        self.from_image = nn.ModuleList(
            EqualizedConv2d(channels, widths[size] if size == image_size else widths[size] // 2, 1)
            for size in self.sizes
        )
        later = {size: widths[size // 2] // 2 for size in self.sizes[1:]}  # channels after each stage
        self.stages = nn.ModuleList(_shrinking_stage(widths[size], after) for size, after in later.items())
        self.last_stage = nn.Sequential(
            MinibatchStd(),
            EqualizedConv2d(width + 1, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            EqualizedConv2d(width, width, 4),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
        )
        self.score = EqualizedConv2d(width, 1, 1)
        self.attention = attention_at(later, attention_sizes)

    def forward(self, images: list[Tensor], condition: Tensor | None = None) -> DiscriminatorOutput:
        """Score a batch from all its scales, coarse to fine; `condition` is not used by this family."""
        parts = [layer(image) for layer, image in zip(self.from_image, images, strict=True)]
        features = parts[-1]
        for i in range(len(self.stages) - 1, -1, -1):
            features = self.stages[i](features)
            if str(self.sizes[i + 1]) in self.attention:
                features = self.attention[str(self.sizes[i + 1])](features)
            features = torch.cat([parts[i], F.avg_pool2d(features, 2)], 1)  # (B, width at sizes[i], ...)
        features = self.last_stage(features)  # (B, width)
        return DiscriminatorOutput(self.score(features[:, :, None, None]).flatten(), None, features)


def _first_stage(latent_size: int, width: int) -> nn.Sequential:
    """Latents (B, Z, 1, 1) to (B, width, 4, 4); normalised once, at the end."""
    return nn.Sequential(
        EqualizedConvTranspose2d(latent_size, width, 4),
        nn.LeakyReLU(0.2),
        EqualizedConv2d(width, width, 3, padding=1),
        nn.LeakyReLU(0.2),
        PixelNorm(),
    )


def _growing_stage(before: int, after: int) -> nn.Sequential:
    """(B, before, s, s) to (B, after, 2 s, 2 s); normalised after each convolution."""
    return nn.Sequential(
        nn.UpsamplingNearest2d(scale_factor=2),
        EqualizedConv2d(before, after, 3, padding=1),
        nn.LeakyReLU(0.2),
        PixelNorm(),
        EqualizedConv2d(after, after, 3, padding=1),
        nn.LeakyReLU(0.2),
        PixelNorm(),
    )


def _shrinking_stage(before: int, after: int) -> nn.Sequential:
    """(B, before, s, s) to (B, after, s, s); the caller halves the size."""
    return nn.Sequential(
        EqualizedConv2d(before, before, 3, padding=1),
        nn.LeakyReLU(0.2),
        EqualizedConv2d(before, after, 3, padding=1),
        nn.LeakyReLU(0.2),
    )
