"""What a GPU must hold to train a transformer that is cut up among GPUs, on paper.

Weights, gradients and the optimiser's two moments in float32 are 16 bytes a parameter, cut evenly
(FSDP2). While a block is computed its weights are whole, in bfloat16, with those of the next, which
are on their way. Of activations, recomputing every block keeps what goes into each.
"""

from dataclasses import dataclass

from astrohpc.models.transformer import TransformerSize

GIB = 2**30
_STATE_BYTES = 16  # weight, gradient, two moments
_COMPUTED_BYTES = 2  # bfloat16


@dataclass(frozen=True)
class Plan:
    """Bytes of one GPU."""

    state: int
    gathered: int  # weights of two blocks and of the ends, whole
    kept: int  # what goes into every block
    working: int  # of one block while it is computed again, and of the scores

    @property
    def whole(self) -> int:
        """All of it; some GiB of NCCL's and the allocator's come on top."""
        return self.state + self.gathered + self.kept + self.working


def plan(size: TransformerSize, gpus: int, sequences: int, tokens: int) -> Plan:
    """For ``sequences`` of ``tokens`` that one GPU computes at once."""
    block = 4 * size.hidden**2 + 2 * size.hidden * size.inner
    ends = 2 * size.vocabulary * size.hidden
    seen = sequences * tokens
    # Of one block: its norms' outputs, q, k, v, attention's output, the inner layer before and after.
    inside = seen * (7 * size.hidden + 2 * size.inner) * _COMPUTED_BYTES
    scores = (
        seen * size.vocabulary * (_COMPUTED_BYTES + 4 + 4)
    )  # and in float32 with their gradient
    return Plan(
        state=-(-size.parameters * _STATE_BYTES // gpus),
        gathered=(2 * block + ends) * _COMPUTED_BYTES,
        kept=size.blocks * seen * size.hidden * _COMPUTED_BYTES,
        working=max(2 * inside, scores),
    )
