"""The same kinds of transformations as medical-imaging libraries do them, written here after MONAI's design.

Elastic: a random displacement for every voxel of a volume, smoothed along one axis after the other with a
Gaussian, added to a dense grid of coordinates, then grid_sample: a sample at a time, as transforms of a
data set are. Each further operation is a pass of its own over the batch. Nothing is periodic here and
nothing is weighted in the warp; the totals are restored by the same corrections as in the torch chain.
"""

import torch
from augment_parts.torch_chain import TorchChain
from torch.nn import functional

from astrohpc.kernels.desk import Draws

Tensor = torch.Tensor
SIGMA, MAGNITUDE = 5.0, 4.0


def separate_passes(chain: TorchChain, batch: Tensor, draws: Draws) -> Tensor:
    """All operations, each its own pass."""
    with torch.no_grad():
        moved = chain.jitter(batch, draws)
        warped = torch.stack([_elastic(chain, sample) for sample in moved])
        mixed, share = chain.mix(warped, batch, draws)
        return chain.correct(chain.clip(chain.noise(mixed, draws)), batch, draws, share)


def _elastic(chain: TorchChain, sample: Tensor) -> Tensor:
    """One sample [T, C, J, I]: its layered variables as volumes, the others as pictures."""
    out = torch.empty_like(sample)
    rows, columns = chain.shape
    layered = [(int(f), int(n)) for f, n, *_ in chain.blocks.table if n]
    flat = [int(f) for f, n, *_ in chain.blocks.table if not n]
    levels = layered[0][1]
    volume = torch.cat([sample[:, f : f + n].unsqueeze(1) for f, n in layered], 1)
    volume = volume.reshape(1, -1, levels, rows, columns)
    moved = functional.grid_sample(volume, _dense((levels, rows, columns)), align_corners=True)
    moved = moved.reshape(len(sample), len(layered), levels, rows, columns)
    for k, (f, n) in enumerate(layered):
        out[:, f : f + n] = moved[:, k]
    pictures = sample[:, flat].reshape(1, -1, rows, columns)
    out[:, flat] = functional.grid_sample(
        pictures, _dense((rows, columns)), align_corners=True
    ).reshape(len(sample), len(flat), rows, columns)
    return out


def _dense(shape: tuple[int, ...]) -> Tensor:
    """Where each voxel is read: its own place and a smooth random displacement, [1, *shape, axes]."""
    axes = len(shape)
    offset = torch.rand((1, axes, *shape)) * 2.0 - 1.0
    reach = int(4 * SIGMA)
    x = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (x / SIGMA) ** 2)
    kernel /= kernel.sum()
    convolve = functional.conv3d if axes == 3 else functional.conv2d
    for axis in range(axes):
        form = [1] * axes
        form[axis] = len(kernel)
        pad = [0] * axes
        pad[axis] = reach
        weight = kernel.reshape(1, 1, *form).expand(axes, 1, *form)
        offset = convolve(offset, weight, padding=tuple(pad), groups=axes)
    grids = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in shape), indexing="ij")
    scale = [2.0 * MAGNITUDE / max(n - 1, 1) for n in shape]
    moved = [g + offset[0, k] * scale[k] for k, g in enumerate(grids)]
    return torch.stack(moved[::-1], -1)[None]
