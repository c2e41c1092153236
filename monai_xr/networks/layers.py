"""Layers that several GAN families share: equalised convolutions, pixel norm, self-attention, minibatch deviation.

Sources: self-attention, Zhang et al. 2019 (SAGAN); pixel norm, minibatch standard deviation and equalised learning
rate, Karras et al. 2018 (progressive growing) as used by MSG-GAN. Statistics are computed in float32 under autocast:
their epsilon of 1e-8 is zero in float16, where the gradient of the root would be infinite.
"""

from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_xr.errors import ConfigurationError

_EPSILON = 1e-8


class EqualizedConv2d(nn.Conv2d):
    """A convolution whose weights are N(0, 1) and scaled by `gain` / sqrt(fan_in) when used.

    An optimiser that normalises gradients then moves every layer at the same relative speed. `gain` is the standard
    deviation of the output for an input of unit power.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        padding: int = 0,
        *,
        stride: int = 1,
        gain: float = 2**0.5,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride=stride, padding=padding)
        self.scale = gain / (in_channels * kernel_size**2) ** 0.5

    def reset_parameters(self) -> None:
        """Draw the weights from N(0, 1), set the biases to zero."""
        _standard_normal(self)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H', W')."""
        return F.conv2d(features, self.weight * self.scale, self.bias, stride=self.stride, padding=self.padding)


class EqualizedLinear(nn.Linear):
    """The same for a linear layer; `rate` is how much slower it learns, `bias` where its biases start."""

    def __init__(
        self, in_features: int, out_features: int, *, gain: float = 2**0.5, rate: float = 1.0, bias: float = 0.0
    ) -> None:
        super().__init__(in_features, out_features)
        self.scale, self.rate = gain * rate / in_features**0.5, rate
        nn.init.normal_(self.weight, std=1 / rate)
        nn.init.constant_(self.bias, bias / rate)

    def forward(self, features: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        return F.linear(features, self.weight * self.scale, self.bias * self.rate)


class EqualizedConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution of stride 1 with N(0, 1) weights; its fan-in counts input channels only, as MSG-GAN's.

    That is exact for a 1 x 1 input, where every output pixel sees each input channel once.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size)
        self.scale = (2 / in_channels) ** 0.5

    def reset_parameters(self) -> None:
        """Draw the weights from N(0, 1), set the biases to zero."""
        _standard_normal(self)

    def forward(self, features: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H + k - 1, W + k - 1); `output_size` is not used."""
        return F.conv_transpose2d(features, self.weight * self.scale, self.bias)


def _standard_normal(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    nn.init.normal_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class PixelNorm(nn.Module):
    """Divides each pixel's feature vector by its root mean square."""

    epsilon: Final = _EPSILON  # TorchScript sees no globals

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, ...) to the same shape."""
        power = features.float().square().mean(1, keepdim=True)
        return features * torch.rsqrt(power + self.epsilon).to(features.dtype)


class MinibatchStd(nn.Module):
    """Appends one constant map: the standard deviation over the batch, averaged over channels and pixels.

    Scores depend on what else is in the batch, or in the sample's group. A collapsed batch shows here as zero.

    Args:
        group_size: Samples over which it is taken, 4 in StyleGAN2; None takes the whole batch.
    """

    def __init__(self, group_size: int | None = None) -> None:
        super().__init__()
        if group_size is not None and group_size < 2:
            raise ConfigurationError(f"groups of {group_size}", "group_size", "at least 2, or none for the whole batch")
        self.group_size = group_size

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C + 1, H, W); sample i is in group i modulo their number.

        Raises:
            ConfigurationError: A batch that its groups do not divide.
        """
        batch, channels, height, width = features.shape
        size = min(self.group_size or batch, batch)
        if batch % size:
            raise ConfigurationError(f"{batch} samples in groups of {size}", "batch_size", f"a multiple of {size}")
        groups = features.float().reshape(size, -1, channels, height, width)
        variance = (groups - groups.mean(0)).square().mean(0)  # torch's own is five times as slow along this axis
        spread = torch.sqrt(variance + _EPSILON).mean((1, 2, 3)).to(features.dtype)  # (groups,)
        spread = spread.repeat(size).reshape(batch, 1, 1, 1).expand(batch, 1, height, width)
        return torch.cat([features, spread], 1)


class SelfAttention(nn.Module):
    """Adds to each pixel what it attends to in the whole map: x + gamma * o, gamma starting at 0.

    o_j = sum over i of softmax_i(f(x_i) . g(x_j)) h(x_i); f, g are 1 x 1 convolutions to `channels` / 8, h keeps
    `channels`. The map of all pairs of pixels is not held in memory where a fused kernel exists.

    Args:
        channels: Of the feature map, at least 8.
        equalized: Whether the convolutions have an equalised learning rate, as their neighbours in MSG-GAN.
        pooled: Whether i runs over the largest f and h of every 2 x 2 pixels, as in SAGAN's public code and not in its
            paper: a quarter of the pairs.
    """

    def __init__(self, channels: int, *, equalized: bool = False, pooled: bool = False) -> None:
        super().__init__()
        if channels < 8:
            raise ConfigurationError(
                f"self-attention over {channels} channels", "width", "a larger width: it takes at least 8 channels"
            )
        convolution: type[nn.Conv2d] = EqualizedConv2d if equalized else nn.Conv2d
        self.keys = convolution(channels, channels // 8, 1)  # f
        self.queries = convolution(channels, channels // 8, 1)  # g
        self.values = convolution(channels, channels, 1)  # h
        self.pool = nn.MaxPool2d(2) if pooled else nn.Identity()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        queries = _as_tokens(self.queries(features))  # (B, 1, H * W, C / 8)
        keys = _as_tokens(self.pool(self.keys(features)))  # (B, 1, H * W or a quarter, C / 8)
        values = _as_tokens(self.pool(self.values(features)))  # (B, 1, as many, C)
        if features.device.type == "cpu":  # its fused kernel wants equal lengths: zeros change no product
            missing = values.shape[-1] - keys.shape[-1]
            queries, keys = F.pad(queries, (0, missing)), F.pad(keys, (0, missing))
        attended = F.scaled_dot_product_attention(queries, keys, values, scale=1.0)
        return features + self.gamma * attended.squeeze(1).transpose(1, 2).reshape_as(features)


def _as_tokens(maps: Tensor) -> Tensor:
    """(B, C, H, W) to (B, 1, H * W, C)."""
    return maps.flatten(2).transpose(1, 2).unsqueeze(1).contiguous()


def attention_at(channels_by_size: dict[int, int], attention_sizes: Sequence[int]) -> nn.ModuleDict:
    """Give one equalised, pooled `SelfAttention` per wanted size, under the size as text.

    Args:
        channels_by_size: Channels of the maps that may have attention, by their size in pixels.
        attention_sizes: Where attention is wanted.

    Raises:
        ConfigurationError: If there is no map of a wanted size.
    """
    wanted = sorted({int(size) for size in attention_sizes})
    unknown = [size for size in wanted if size not in channels_by_size]
    if unknown:
        allowed = ", ".join(map(str, sorted(channels_by_size)))
        raise ConfigurationError(f"no feature map of {unknown[0]} pixels", "attention_sizes", f"among {allowed}")
    return nn.ModuleDict(
        {str(size): SelfAttention(channels_by_size[size], equalized=True, pooled=True) for size in wanted}
    )
