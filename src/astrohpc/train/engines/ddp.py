"""torch's DistributedDataParallel: each rank has the whole model."""

import warnings
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from astrohpc.train.engines.base import weights_and_buffers
from astrohpc.train.engines.groups import Grouped
from astrohpc.train.engines.rendezvous import Place


class Ddp(Grouped):
    """The reference: what others are measured against."""

    name = "ddp"

    def __init__(
        self,
        place: Place,
        device: torch.device,
        *,
        bucket_bytes: int,
        timeout_s: float,
        unused_parameters: bool,
    ) -> None:
        super().__init__(place, device, timeout_s=timeout_s)
        self._bucket_bytes = bucket_bytes
        self._unused_parameters = unused_parameters
        self._wrapped: DistributedDataParallel

    def accumulate(self, last: bool) -> AbstractContextManager[None]:
        """Not reduced until the last; forward must be inside too, for DDP decides there."""
        return nullcontext() if last else self._wrapped.no_sync()

    def _wrap(self, model: nn.Module) -> nn.Module:
        self._bring(model)
        self._take_from_rank_0(weights_and_buffers(model))
        with (
            warnings.catch_warnings()
        ):  # of a new name for broadcast_buffers, which older torch lacks
            warnings.simplefilter("ignore", FutureWarning)
            self._wrapped = DistributedDataParallel(
                model,
                bucket_cap_mb=self._bucket_bytes / 2**20,
                find_unused_parameters=self._unused_parameters,
                gradient_as_bucket_view=True,
                broadcast_buffers=False,  # they are each rank's own, as in the other engines
                init_sync=False,  # done, buffers too
            )
        return self._wrapped
