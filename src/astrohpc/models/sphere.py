"""Maps of a whole planet in tensors, channels last: what lies beyond their edges, and cells in groups."""

import torch
from torch import Tensor


def continued(x_NHWC: Tensor, odd: int) -> Tensor:
    """A map with one more row or column on each side, of what a walker would find there.

    East of the last column lies the first. Across a pole a row goes on half-way round the planet, where
    east and north are the other way: the last ``odd`` channels, components of vectors, change their sign.
    """
    _, _, width, channels = x_NHWC.shape
    beyond = x_NHWC[:, [0, -1]].roll(width // 2, dims=2)
    if odd:
        even = torch.arange(channels, device=x_NHWC.device) < channels - odd
        beyond = torch.where(even, beyond, -beyond)
    x_NHWC = torch.cat([beyond[:, :1], x_NHWC, beyond[:, 1:]], dim=1)
    return torch.cat([x_NHWC[:, :, -1:], x_NHWC, x_NHWC[:, :, :1]], dim=2)


def neighbours(x_BLHWC: Tensor) -> Tensor:
    """Each cell's channels with those of the cells above and below; the first and last are their own."""
    above = torch.cat([x_BLHWC[:, :1], x_BLHWC[:, :-1]], dim=1)
    below = torch.cat([x_BLHWC[:, 1:], x_BLHWC[:, -1:]], dim=1)
    return torch.cat([above, x_BLHWC, below], dim=-1)


def gathered(x_BLHWC: Tensor, by: tuple[int, int, int]) -> Tensor:
    """Cells side by side become one, with the channels of all."""
    batch, *cells, channels = x_BLHWC.shape
    (lev, row, col), (up, north, east) = by, (n // k for n, k in zip(cells, by, strict=True))
    x = x_BLHWC.reshape(batch, up, lev, north, row, east, col, channels)
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(batch, up, north, east, -1)


def spread_out(x_BLHWC: Tensor, by: tuple[int, int, int]) -> Tensor:
    """The other way: channels of one cell become cells side by side."""
    batch, up, north, east, _ = x_BLHWC.shape
    lev, row, col = by
    x = x_BLHWC.reshape(batch, up, north, east, lev, row, col, -1).permute(0, 1, 4, 2, 5, 3, 6, 7)
    return x.reshape(batch, up * lev, north * row, east * col, -1)
