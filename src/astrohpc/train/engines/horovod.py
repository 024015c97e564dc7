"""Horovod: its collectives under our own gradient buckets.

Its own optimiser is not used: it corrupts the state that it broadcasts, does not reduce parameters
that come later, takes neither bfloat16 nor channels-last, and sums in another order each time
(docs/decisions/0010-our-own-buckets.md).
"""

import importlib.util
import os
import pickle
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from astrohpc.errors import ConfigError
from astrohpc.train.engines.base import Engine, How, move
from astrohpc.train.engines.buckets import GradientBuckets
from astrohpc.train.engines.failures import RankLost, collective
from astrohpc.train.engines.rendezvous import Place

T = TypeVar("T")

_LONGEST_PAUSE_S = 5e-4
# How often Horovod's thread asks the other ranks what is ready. Each time costs about 0.1 ms of a core
# over Gloo; its own 1 ms takes a tenth of a core from those who compute.
_CYCLE_MS = "2"
NOT_BUILT = (
    "engine: Horovod is not built for this Python; run hpc/horovod.sh (pip alone cannot build it), "
    "or take train.engine=ddp."
)


def is_built() -> bool:
    """Whether there is a Horovod to import."""
    return importlib.util.find_spec("horovod") is not None


class Horovod(Engine):
    """Each rank has the whole model; Horovod sums the gradients."""

    name = "horovod"

    def __init__(
        self, place: Place, device: torch.device, *, bucket_bytes: int, timeout_s: float
    ) -> None:
        super().__init__(place, device)
        self._bucket_bytes = bucket_bytes
        self._buckets: GradientBuckets
        with collective("starting Horovod"):
            self._hvd = _start(place, timeout_s)
        ops = self._hvd
        self._ops = {"sum": ops.Sum, "max": ops.Max, "min": ops.Min}

    @contextmanager
    def accumulate(self, last: bool) -> Iterator[None]:
        """Buckets fill in the last micro-batch's backward."""
        self._buckets.filling = last
        try:
            yield
        finally:
            self._buckets.filling = False

    def backward(self, loss: Tensor) -> None:
        """Buckets sum; the mean is made of the loss, which is one number and not all gradients."""
        super().backward(loss / self.size)

    def finish_gradients(self) -> None:
        """Wait for the buckets."""
        with collective("reducing gradients"), torch.no_grad():
            self._buckets.finish()

    def _wrap(self, model: nn.Module) -> nn.Module:
        move(model, self.device)
        self._take_weights_of_rank_0(model)
        self._buckets = GradientBuckets(
            list(model.named_parameters()), self._bucket_bytes, self._send, self._wait
        )
        return model

    def _send(self, name: str, flat: Tensor) -> Any:
        return self._hvd.allreduce_async_(flat, name=name, op=self._ops["sum"])

    def _wait(self, handle: Any) -> Any:
        """Sleep until a collective is done: Horovod's own waiting spins on a core it needs itself."""
        pause_s = 2e-5
        while not self._hvd.poll(handle):
            time.sleep(pause_s)
            pause_s = min(1.5 * pause_s, _LONGEST_PAUSE_S)
        return self._hvd.synchronize(handle)

    def _reduce(self, value: Tensor, how: How) -> Tensor:
        flat = value.reshape(-1)
        # A name that tells the shape keeps its place in Horovod's cache of what was agreed.
        name = f"{how}.{flat.dtype}.{flat.device.type}.{len(flat)}"
        self._wait(self._hvd.allreduce_async_(flat, name=name, op=self._ops[how]))
        return flat.view(value.shape)

    def _send_bytes(self, data: Tensor) -> None:
        self._wait(self._hvd.broadcast_async_(data, 0, name=f"bytes.{len(data)}"))

    def _gather(self, value: T) -> list[T]:
        mine = torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)
        lengths = self._gathered(torch.tensor([len(mine)]), "lengths").tolist()
        parts = self._gathered(mine, "objects").split(lengths)
        return [pickle.loads(part.numpy().tobytes()) for part in parts]  # noqa: S301 - our own ranks

    def _gathered(self, value: Tensor, name: str) -> Tensor:
        found: Tensor = self._wait(self._hvd.allgather_async(value, name=name))
        return found

    def _broadcast(self, value: T) -> T:
        return self._gather(value if self.rank == 0 else None)[0]  # type: ignore[return-value]

    def _barrier(self) -> None:
        self._reduce(torch.zeros(1), "sum")

    def _shutdown(self) -> None:
        self._hvd.shutdown()


def _start(place: Place, timeout_s: float) -> Any:
    """Horovod's module, initialised over MPI where its launcher is MPI's, else over Gloo by us."""
    if not is_built():
        raise ConfigError(NOT_BUILT)
    defaults = {
        "HOROVOD_CYCLE_TIME": _CYCLE_MS,
        "HOROVOD_GLOO_TIMEOUT_SECONDS": str(int(timeout_s)),  # Horovod's own are 30 s
        "OMPI_MCA_mpi_yield_when_idle": "1",  # OpenMPI waits by spinning
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    # Fusing what is ready together would make the order of sums a matter of timing.
    os.environ["HOROVOD_FUSION_THRESHOLD"] = "0"
    try:
        import horovod.torch as hvd  # noqa: PLC0415 - most runs do not need it
    except ImportError as error:
        raise ConfigError(
            f"engine: Horovod does not load with torch {torch.__version__} ({error}); run "
            "hpc/horovod.sh, which builds it for the torch that is here, or take train.engine=ddp."
        ) from error
    if hvd.is_initialized():  # the process has met the others; this is another model
        return hvd
    if os.environ.get("HOROVOD_CONTROLLER", "mpi" if _by_mpi(place, hvd) else "gloo") == "mpi":
        os.environ |= {"HOROVOD_CONTROLLER": "mpi", "HOROVOD_CPU_OPERATIONS": "mpi"}
        hvd.init()
    else:
        _start_gloo(place, hvd, timeout_s)
    if (hvd.rank(), hvd.size()) != (place.rank, place.size):
        raise ConfigError(
            f"{place.launcher}: Horovod sees rank {hvd.rank()} of {hvd.size()} where the launcher says "
            f"rank {place.rank} of {place.size}; with srun say --mpi=pmix."
        )
    return hvd


def _by_mpi(place: Place, hvd: Any) -> bool:
    started = place.launcher == "mpirun" or (place.launcher == "srun" and "PMIX_RANK" in os.environ)
    return started and bool(hvd.mpi_built())


def _start_gloo(place: Place, hvd: Any, timeout_s: float) -> None:
    """What ``horovodrun`` does through ssh: rank 0 keeps the ranks' addresses until all have met."""
    address, port = place.meet() if place.size > 1 else ("127.0.0.1", 0)
    server: Any = None
    if place.rank == 0:
        server = _server(port)
        port = server.server_address[1]
    else:
        _await(address, port, timeout_s)  # Horovod itself tries for 1.5 s and then aborts
    told = {
        "RANK": place.rank,
        "SIZE": place.size,
        "LOCAL_RANK": place.local_rank,
        "LOCAL_SIZE": place.local_size,
        "CROSS_RANK": place.cross_rank,
        "CROSS_SIZE": place.cross_size,
        "HOSTNAME": socket.gethostname(),
        "GLOO_RENDEZVOUS_ADDR": address,
        "GLOO_RENDEZVOUS_PORT": port,
        "CONTROLLER": "gloo",
        "CPU_OPERATIONS": "gloo",
    }
    os.environ |= {f"HOROVOD_{name}": str(value) for name, value in told.items()}
    if place.one_node:
        os.environ.setdefault("HOROVOD_GLOO_IFACE", "lo")
    hvd.init()
    if server is not None:
        hvd.barrier()
        server.shutdown()
        server.server_close()
    else:
        hvd.barrier()


def _server(port: int) -> Any:
    from horovod.runner.http.http_server import (  # noqa: PLC0415 - with Horovod only
        RendezvousHandler,
        RendezvousHTTPServer,
    )

    try:
        server = RendezvousHTTPServer(("", port), RendezvousHandler, 0)
    except OSError as error:
        raise ConfigError(
            f"MASTER_PORT: rank 0 cannot listen on port {port} ({error.strerror}); set another."
        ) from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _await(address: str, port: int, timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while True:
        try:
            socket.create_connection((address, port), timeout=2.0).close()
            return
        except OSError as error:
            if time.monotonic() > end:
                raise RankLost(
                    f"rank 0 was not found at {address}:{port} within {timeout_s:.0f} s ({error}); "
                    "see whether it runs, and set MASTER_ADDR to an address that all nodes reach."
                ) from error
            time.sleep(0.1)


