"""The fused chain's work as a chain of torch operations: a good one, batched, all draws given."""

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from astrohpc.augment.sphere import controls_of, globe_of
from astrohpc.kernels import desk, totals
from astrohpc.kernels.desk import Blocks, Draws
from astrohpc.physics.layout import Layout

Tensor = torch.Tensor


class TorchChain:
    """Does to a batch what a Draws says; noise is torch's own."""

    def __init__(self, layout: Layout, blocks: Blocks, points: int, device: str = "cpu") -> None:
        self.device = device
        self.layout, self.blocks = layout, blocks
        globe, controls = globe_of(layout), controls_of(points)
        self.globe = globe
        rows, columns = layout.grid.shape
        self.shape = rows, columns
        t = self.there
        cos_lat, sin_lat = t(globe.cos_lat)[:, None], t(globe.sin_lat)[:, None]
        cos_lon, sin_lon = t(globe.cos_lon)[None], t(globe.sin_lon)[None]
        self.x = torch.stack(
            [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat.expand(rows, columns)], -1
        )
        self.east = torch.stack(
            [
                -sin_lon.expand(rows, columns),
                cos_lon.expand(rows, columns),
                torch.zeros(rows, columns, device=device),
            ],
            -1,
        )
        dot = self.x @ t(controls.at).T
        weight = ((dot - controls.edge) * controls.scale).clamp_min(0.0) ** 4
        self.weight = (weight / weight.sum(-1, keepdim=True)).float()
        self.share = t(globe.share)[:, None]
        self.arm, self.cos = t(globe.arm)[:, None], t(globe.cos_lat)[:, None]
        self.da, self.db = t(blocks.da).float()[:, None, None], t(blocks.db).float()[:, None, None]
        self.lat = globe.lat
        self.ps = int(blocks.table[blocks.pressure, desk.FIRST])

    def there(self, array: np.ndarray) -> Tensor:
        """An array of the processor where the chain works."""
        return torch.from_numpy(array).to(self.device)

    # ------------------------------------------------------------------ steps
    def jitter(self, batch: Tensor, draws: Draws) -> Tensor:
        """Between two times, by mass."""
        before = self.there(draws.before)
        part = self.there(draws.part)[:, :, None, None, None]
        sample = torch.arange(len(batch), device=self.device)[:, None]
        first, second = batch[sample, before], batch[sample, before + 1]
        out = torch.empty_like(first)
        for first_channel, levels, *_ in self.blocks.table:
            c = slice(first_channel, first_channel + max(levels, 1))
            w = part
            if levels:
                w = self._mass_share(part, first, second)
            torch.lerp(first[:, :, c], second[:, :, c], w, out=out[:, :, c])
        return out

    def source(self, draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
        """Where cells come from, [B, J, I, 2] as grid_sample has it, and how winds turn."""
        rows, columns = self.shape
        half = torch.einsum("jik,bkc->bjic", self.weight, self.there(draws.half).float())
        source, ahead = _turn(half, self.x.float()), _turn(half, self.east.float())
        level = source[..., :2].norm(dim=-1).clamp_min(1e-12)
        east = torch.stack([-source[..., 1], source[..., 0]], -1) / level[..., None]
        cosine = (ahead[..., :2] * east).sum(-1)
        sine = source[..., 2] * (ahead[..., 1] * east[..., 0] - ahead[..., 0] * east[..., 1])
        sine = (sine + ahead[..., 2] * level)[:, None, None]
        cosine = cosine[:, None, None]
        lon = torch.atan2(source[..., 1], source[..., 0]) % (2 * np.pi)
        lat = torch.atan2(source[..., 2], level)
        edges = self.there(self.lat).float()
        at = (torch.searchsorted(edges, lat.contiguous(), right=True) - 1).clamp(0, rows)
        place = at + (lat - edges[at]) / (edges[at + 1] - edges[at])
        grid = torch.stack(
            [2.0 * (lon * (columns / (2 * np.pi)) / columns) - 1.0, 2.0 * place / (rows + 1) - 1.0],
            -1,
        )
        return grid, cosine, sine

    def warp(self, batch: Tensor, draws: Draws) -> Tensor:
        """Bilinear in latitude and longitude, rows beyond the poles added, winds turned."""
        rows, columns = self.shape
        samples, times, channels = batch.shape[:3]
        grid, cosine, sine = self.source(draws)
        across = batch.roll(columns // 2, -1)
        padded = torch.cat([across[..., :1, :], batch, across[..., -1:, :]], -2)
        for _, _, kind, *_ in self.blocks.table:
            assert kind != desk.CATEGORY
        winds = [
            slice(int(f), int(f) + max(int(n), 1))
            for f, n, kind, *_ in self.blocks.table
            if kind in (desk.EASTWARD, desk.NORTHWARD)
        ]
        for c in winds:
            padded[:, :, c, [0, -1]] *= -1.0
        padded = torch.cat([padded, padded[..., :1]], -1)
        out = functional.grid_sample(
            padded.reshape(samples, times * channels, rows + 2, columns + 1),
            grid,
            mode="bilinear",
            align_corners=True,
        ).reshape(batch.shape)
        for row in self.blocks.table:
            if row[desk.KIND] == desk.EASTWARD:
                n = max(int(row[desk.LEVELS]), 1)
                cu = slice(int(row[0]), int(row[0]) + n)
                north = int(self.blocks.table[row[desk.MATE], 0])
                cv = slice(north, north + n)
                u, v = out[:, :, cu].clone(), out[:, :, cv].clone()
                out[:, :, cu] = cosine * u + sine * v
                out[:, :, cv] = cosine * v - sine * u
        return out

    def layers(self, batch: Tensor, draws: Draws) -> Tensor:
        """Levels from two neighbours each."""
        upper = self.there(draws.upper)
        weight = self.there(draws.weight)[:, None, :, None, None]
        sample = torch.arange(len(batch), device=self.device)[:, None]
        for first, levels, *_ in self.blocks.table:
            if levels:
                block = batch[:, :, first : first + levels].transpose(1, 2)
                below = block[sample, upper].transpose(1, 2)
                above = block[sample, (upper - 1).clamp_min(0)].transpose(1, 2)
                batch[:, :, first : first + levels] = torch.lerp(below, above, weight)
        return batch

    def mix(self, warped: Tensor, batch: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Mixup and a cap, by mass; the partner's share too."""
        share = self.share_of(draws)[:, None, None]
        theirs = batch[self.there(draws.partner)]
        mass = self._mass_share(share, warped, theirs)
        for first, levels, *_ in self.blocks.table:
            c = slice(int(first), int(first) + max(int(levels), 1))
            warped[:, :, c] = torch.lerp(
                warped[:, :, c], theirs[:, :, c], mass if levels else share
            )
        return warped, share

    def noise(self, mixed: Tensor, draws: Draws) -> Tensor:
        """Gaussian, a sigma a channel."""
        sigma = self.there(draws.sigma)[:, None, :, None, None]
        return mixed + sigma * torch.randn_like(mixed)

    def clip(self, noisy: Tensor) -> Tensor:
        """Bounds, variable by variable."""
        for k, (first, levels, *_) in enumerate(self.blocks.table):
            low, high = float(self.blocks.low[k]), float(self.blocks.high[k])
            if np.isfinite(low):
                noisy[:, :, first : first + max(levels, 1)].clamp_(low, high)
        return noisy

    def correct(self, out: Tensor, batch: Tensor, draws: Draws, share: Tensor) -> Tensor:
        """Totals of the inputs, mixed, given to the result."""
        own = 1.0 - (share[:, 0, 0].double() * self.share).sum((-2, -1))[:, None]
        partner = self.there(draws.partner)
        before = self.there(draws.before)
        part = self.there(draws.part).double()
        sample = torch.arange(len(batch), device=self.device)[:, None]
        order = [self.blocks.pressure, *range(len(self.blocks.table))]
        for k in dict.fromkeys(order):
            first, levels, _, rule, _ = (int(n) for n in self.blocks.table[k])
            c = slice(first, first + max(levels, 1))
            lever = self.share * (self.arm if rule == totals.SPIN else 1.0)
            inputs = self._rows(batch, c, levels)
            now = self._rows(out, c, levels)
            mine = (1 - part)[..., None] * inputs[sample, before]
            mine = mine + part[..., None] * inputs[sample, before + 1]
            target = own[..., None] * mine + (1 - own)[..., None] * inputs[partner]
            mass = self._mass_rows(out, levels)
            w = lever[:, 0]
            gap, air = ((target - now) * w).sum(-1), (mass * w).sum(-1)
            field = out[:, :, c]
            if rule == totals.MEAN:
                field += (gap / air)[..., None, None, None].float()
            elif rule == totals.FACTOR:
                field *= ((target * w).sum(-1) / (now * w).sum(-1))[..., None, None, None].float()
            elif rule == totals.SHARE:
                room = (gap / ((mass - now) * w).sum(-1)).clamp(0, 1)[..., None, None, None].float()
                less = ((target * w).sum(-1) / (now * w).sum(-1)).clamp_max(1)[
                    ..., None, None, None
                ]
                field.lerp_(torch.ones((), device=self.device), room).mul_(less.float())
            elif rule == totals.SPIN:
                moment = (mass * w * self.cos[:, 0]).sum(-1)
                field += ((gap / moment)[..., None, None, None] * self.cos).float()
            elif rule in (totals.ROWS, totals.ROWS_ZERO):
                wanted = target if rule == totals.ROWS else 0.0
                field += ((wanted - now) / mass)[:, :, None, :, None].float()
        return out

    def __call__(self, batch: Tensor, draws: Draws) -> Tensor:
        """All of it."""
        with torch.no_grad():
            moved = self.layers(self.warp(self.jitter(batch, draws), draws), draws)
            mixed, share = self.mix(moved, batch, draws)
            return self.correct(self.clip(self.noise(mixed, draws)), batch, draws, share)

    # ------------------------------------------------------------------ parts
    def share_of(self, draws: Draws) -> Tensor:
        """The partner's share of each cell, [B, J, I]."""
        caps = self.there(draws.caps)
        dot = torch.einsum("jic,bc->bji", self.x, caps[:, :3])
        inner, outer = caps[:, 3, None, None], caps[:, 4, None, None]
        inside = ((dot - outer) / (inner - outer)).clamp(0, 1)
        inside = (inside * inside * (3 - 2 * inside)) * self.there(draws.capped)[:, None, None]
        mixture = self.there(draws.mixture)[:, None, None]
        return (mixture + inside * (1.0 - mixture)).float()

    def _mass_share(self, share: Tensor, own: Tensor, other: Tensor) -> Tensor:
        theirs = share * (self.da + self.db * other[:, :, self.ps : self.ps + 1])
        mine = (1.0 - share) * (self.da + self.db * own[:, :, self.ps : self.ps + 1])
        return theirs / (mine + theirs)

    def _rows(self, batch: Tensor, c: slice, levels: int) -> Tensor:
        """Sums of rows, [B, T, J], in double precision."""
        field = batch[:, :, c]
        if not levels:
            return field.double().sum((2, 4))
        dp = self.da.double() + self.db.double() * batch[:, :, self.ps : self.ps + 1].double()
        return (field * dp).sum((2, 4))

    def _mass_rows(self, batch: Tensor, levels: int) -> Any:
        columns = self.shape[1]
        if not levels:
            return torch.full(
                (*batch.shape[:2], self.shape[0]),
                float(columns),
                dtype=torch.float64,
                device=self.device,
            )
        ps = batch[:, :, self.ps].double().sum(-1)
        return self.da.double().sum() * columns + self.db.double().sum() * ps


def _turn(half: Tensor, vector: Tensor) -> Tensor:
    """Vectors turned by twice the angles whose tangents are the lengths of ``half``."""
    vector = vector.expand(half.shape)
    once = torch.cross(half, vector, dim=-1)
    factor = 2.0 / (1.0 + (half * half).sum(-1, keepdim=True))
    return vector + factor * (once + torch.cross(half, once, dim=-1))
