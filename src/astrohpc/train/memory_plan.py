"""What a GPU must hold to train a transformer that is cut up among GPUs, on paper.

    python -m astrohpc.train.memory_plan [GPUS …]

Weights, gradients and the optimiser's two moments in float32 are 16 bytes a parameter, each cut into
whole rows (FSDP2). While a block is computed its weights are whole, in bfloat16, with those of the
next, which are on their way; and its gradient is whole before each GPU is left with its rows of it. Of
activations, recomputing every block keeps what goes into each.
"""

import argparse
from dataclasses import dataclass

import torch
from torch import nn

from astrohpc.models.settings import TransformerSettings
from astrohpc.models.transformer import Transformer

GIB = 2**30
_STATE_BYTES = 16  # weight, gradient, two moments
_COMPUTED_BYTES = 2  # bfloat16
_REDUCED_BYTES = 2 + 4  # a gradient as it is computed, and as it is added up between GPUs


@dataclass(frozen=True)
class Plan:
    """Bytes of one GPU, of the first of all, which has most."""

    state: int
    gathered: int  # weights of two blocks and of the ends, whole
    reduced: int  # the gradient of one block, or of the ends, whole
    kept: int  # what goes into every block
    working: int  # of one block while it is computed again

    @property
    def whole(self) -> int:
        """All of it; some GiB of NCCL's and the allocator's come on top."""
        return self.state + self.gathered + self.reduced + self.kept + self.working


def plan(size: TransformerSettings, gpus: int, sequences: int, tokens: int) -> Plan:
    """For ``sequences`` of ``tokens`` that one GPU computes at once."""
    with torch.device("meta"):
        model = Transformer(1, 1, size=size)
    block, whole = _numbers(model.blocks[0], 1), _numbers(model, 1)
    ends = whole - size.blocks * block
    seen = sequences * tokens
    # Of one block: its norms' outputs, q, k, v, attention's output, the inner layer before and after.
    inside = seen * (7 * size.hidden + 2 * size.inner) * _COMPUTED_BYTES
    return Plan(
        state=_numbers(model, gpus) * _STATE_BYTES,
        gathered=(2 * block + ends) * _COMPUTED_BYTES,
        reduced=max(block, ends) * _REDUCED_BYTES,
        kept=size.blocks * seen * size.hidden * _COMPUTED_BYTES,
        working=2 * inside,
    )


def _numbers(model: nn.Module, gpus: int) -> int:
    """How many numbers of the weights the first of so many GPUs has: rows are not cut."""
    return sum(-(-len(p) // gpus) * p.shape[1:].numel() for p in model.parameters())


def table(size: TransformerSettings, gpus: list[int], tokens: int) -> str:
    """The plan for numbers of GPUs, in Markdown."""
    lines = [
        f"{size.parameters:,} parameters, sequences of {tokens}, GiB of one GPU:",
        "",
        "| GPUs | weights, gradients, moments | one sequence at once | four |",
        "|---|---:|---:|---:|",
    ]
    for number in gpus:
        one, four = plan(size, number, 1, tokens), plan(size, number, 4, tokens)
        cells = (f"{value / GIB:.1f}" for value in (one.state, one.whole, four.whole))
        lines.append(f"| {number} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table for the largest size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("gpus", nargs="*", type=int, default=[8, 16, 32], help="how many GPUs")
    parser.add_argument("--tokens", type=int, default=2048, help="of a sequence")
    given = parser.parse_args()
    if min(given.gpus) < 1 or given.tokens < 1:
        parser.error("GPUs and tokens are counted from 1 on")
    print(table(TransformerSettings(), given.gpus, given.tokens))


if __name__ == "__main__":
    main()
