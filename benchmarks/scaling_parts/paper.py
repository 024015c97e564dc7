"""A model of compute and network, small enough to be checked by hand.

A step is what one device computes, and of what the network takes the part that the backward pass cannot
hide. A ring of n ranks takes 2 (n - 1) messages for an all-reduce, and moves 2 (n - 1) / n of the bytes
through each rank's link; gathering or scattering take half of that each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

BACKWARD_SHARE = 2.0 / 3.0  # of a step's computing, with as many operations as two forward passes


@dataclass(frozen=True)
class Network:
    """What a message costs: a fixed time, and a time for each byte that passes a rank's link."""

    message_s: float
    bytes_per_s: float

    def all_reduce_s(self, n_bytes: float, ranks: int) -> float:
        """Of one bucket."""
        return self._steps(2 * (ranks - 1), 2.0 * (ranks - 1) / ranks * n_bytes)

    def gather_s(self, n_bytes: float, ranks: int) -> float:
        """Of parameters that lie in parts on all ranks; scattering sums takes as long."""
        return self._steps(ranks - 1, (ranks - 1) / ranks * n_bytes)

    def _steps(self, messages: int, n_bytes: float) -> float:
        return messages * self.message_s + n_bytes / self.bytes_per_s


@dataclass(frozen=True)
class Work:
    """One step of one rank: seconds of computing, and the buckets that are summed over ranks."""

    compute_s: float
    buckets: Sequence[float]
    parts: Sequence[float] = ()  # bytes of a sharded model's blocks, gathered twice, scattered once

    def step_s(self, ranks: int, network: Network, *, hidden: bool) -> float:
        """How long a step takes, with all that can be ``hidden`` behind computing hidden, or nothing."""
        if ranks == 1:
            return self.compute_s
        sums = [network.all_reduce_s(one, ranks) for one in self.buckets]
        moves = [network.gather_s(one, ranks) for one in self.parts]
        total = sum(sums) + 3 * sum(moves)
        if not hidden:
            return self.compute_s + total
        room = BACKWARD_SHARE * self.compute_s if sums else self.compute_s
        last = sums[-1] if sums else moves[0] + moves[-1]  # nothing is left to hide these behind
        return self.compute_s + max(last, total - room)


def cut(n_bytes: float, bucket: float) -> list[float]:
    """Buckets of a gradient."""
    whole = int(n_bytes // bucket)
    rest = n_bytes - whole * bucket
    return [bucket] * whole + ([rest] if rest else [])


# ----------------------------------------------------------------------------- a hundred GPUs
A100_BF16_FLOPS = 312e12
ASSUMED = {
    "share of an A100's 312 TFLOP/s that computing reaches": 0.4,
    "network, GB/s a GPU (one 200 Gb/s link each, 80 % of it)": 20.0,
    "a message, microseconds": 5.0,
    "Horovod's agreement on a bucket, ms (half a cycle of 3 ms; hidden like the bucket)": 1.5,
    "bucket, MiB": 25.0,
}


@dataclass(frozen=True)
class Case:
    """A model in training: parameters, and floating-point operations of a rank's step."""

    name: str
    parameters: float
    flops: float
    blocks: int = 0  # of a model that is cut up (FSDP); 0: every rank has it whole

    def work(self) -> Work:
        """The step of one A100; gradients are summed in float32, cut-up parameters travel as bfloat16."""
        reached = ASSUMED["share of an A100's 312 TFLOP/s that computing reaches"]
        compute_s = self.flops / (A100_BF16_FLOPS * reached)
        if self.blocks:
            return Work(compute_s, (), [2.0 * self.parameters / self.blocks] * self.blocks)
        return Work(compute_s, cut(4.0 * self.parameters, ASSUMED["bucket, MiB"] * 2**20))


def cases() -> list[Case]:
    """Six operations a parameter and token (two forward, four backward), eight with recomputing."""
    tokens = 4 * 2048
    return [
        Case("MLP, 25 M, 4096 samples a rank", 25e6, 6 * 25e6 * 4096),
        Case("3-D U-Net, 20 M, 16 cubes a rank, 1 TFLOP each", 20e6, 16 * 1e12),
        Case("transformer, 100 M, 4 x 2048 tokens a rank", 1e8, 6 * 1e8 * tokens),
        Case("transformer, 13.15 B, FSDP, recomputed", 13.15e9, 8 * 13.15e9 * tokens, 64),
    ]


def rows(counts: Sequence[int]) -> list[dict[str, object]]:
    """Efficiency of weak scaling: a step of one rank alone over a step of n, at best and at worst."""
    network = Network(
        ASSUMED["a message, microseconds"] * 1e-6,
        ASSUMED["network, GB/s a GPU (one 200 Gb/s link each, 80 % of it)"] * 1e9,
    )
    agreement_s = next(value for name, value in ASSUMED.items() if "agreement" in name) * 1e-3
    found = []
    for case in cases():
        work = case.work()
        for n in counts:
            slow = work.step_s(n, network, hidden=False)
            fast = work.step_s(n, network, hidden=True)
            if work.buckets and n > 1:
                slow, fast = slow + agreement_s * len(work.buckets), fast + agreement_s
            found.append(
                {
                    "model": case.name,
                    "gpus": n,
                    "compute_s": work.compute_s,
                    "step_s": [fast, slow],
                    "efficiency": [work.compute_s / fast, work.compute_s / slow],
                }
            )
    return found
