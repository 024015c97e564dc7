"""Starting Horovod: over MPI where its launcher is MPI's, else over Gloo by ourselves, without ssh.

Horovod's ranks find each other through a small HTTP server that ``horovodrun`` keeps, and it reaches
the nodes by ssh. Here rank 0 keeps the server, in its own process, until all have met. A rank that
does not come would make the others abort without a Python error (exit 134), so all meet at the
server first and only then start Horovod.
"""

import http.client
import importlib.util
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import torch

from astrohpc.errors import ConfigError
from astrohpc.train.engines.failures import RankLost
from astrohpc.train.engines.rendezvous import Place

NOT_BUILT = (
    "engine: Horovod is not built for this Python; run hpc/horovod.sh (pip alone cannot build it), "
    "or take train.engine=ddp."
)
# How often Horovod's thread asks the other ranks what is ready. Each time costs 0.1 to 0.3 ms of a core over
# Gloo, which is why its threads yield to those who compute (horovod.py).
CYCLE_MS = 1.0
_LOOK_S = 0.05
_HERE, _ALL_HERE = "here", "all"
_started: list[bool] = []  # of this process


def is_built() -> bool:
    """Whether there is a Horovod to import."""
    return importlib.util.find_spec("horovod") is not None


def start(place: Place, timeout_s: float) -> Any:
    """Horovod's module for torch, initialised."""
    if not is_built():
        raise ConfigError(NOT_BUILT)
    defaults = {
        "HOROVOD_CYCLE_TIME": str(CYCLE_MS),
        "HOROVOD_GLOO_TIMEOUT_SECONDS": str(max(1, int(timeout_s))),  # Horovod's own are 30 s
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
    if _started:
        raise ConfigError(
            "engine: this process has shut Horovod down, and a second start would crash (MPI allows one, "
            "and over Gloo Horovod 0.28 reads memory that it has freed); shut it down after the last "
            "training of a process, or train each in a process of its own."
        )
    _started.append(True)
    if os.environ.get("HOROVOD_CONTROLLER", "mpi" if _by_mpi(place, hvd) else "gloo") == "mpi":
        os.environ.update(HOROVOD_CONTROLLER="mpi", HOROVOD_CPU_OPERATIONS="mpi")
        hvd.init()
    else:
        start_gloo(place, hvd, timeout_s)
    if (hvd.rank(), hvd.size()) != (place.rank, place.size):
        raise ConfigError(
            f"{place.launcher}: Horovod sees rank {hvd.rank()} of {hvd.size()} where the launcher says "
            f"rank {place.rank} of {place.size}; with srun say --mpi=pmix."
        )
    return hvd


def _by_mpi(place: Place, hvd: Any) -> bool:
    started = place.launcher == "mpirun" or (place.launcher == "srun" and "PMIX_RANK" in os.environ)
    return started and bool(hvd.mpi_built())


def start_gloo(place: Place, hvd: Any, timeout_s: float) -> None:
    """Initialise ``hvd`` with the ranks that meet at rank 0's server."""
    address, port = place.meet() if place.size > 1 else ("127.0.0.1", 0)
    server: Any = None
    if place.rank == 0:
        server = _server(port)
        port = server.server_address[1]
        _gather(server, place.size, timeout_s)
    else:
        _come(place, address, port, timeout_s)
    told = {
        "RANK": place.rank,
        "SIZE": place.size,
        "LOCAL_RANK": place.local_rank,
        "LOCAL_SIZE": place.local_size,
        "CROSS_RANK": place.cross_rank,
        "CROSS_SIZE": place.cross_size,
        "HOSTNAME": f"node{place.node}",  # only tells nodes apart
        "GLOO_RENDEZVOUS_ADDR": address,
        "GLOO_RENDEZVOUS_PORT": port,
        "CONTROLLER": "gloo",
        "CPU_OPERATIONS": "gloo",
    }
    os.environ.update({f"HOROVOD_{name}": str(value) for name, value in told.items()})
    if place.one_node:
        os.environ.setdefault("HOROVOD_GLOO_IFACE", "lo")
    hvd.init()
    hvd.barrier()
    if server is not None:
        server.shutdown()
        server.server_close()


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


def _gather(server: Any, size: int, timeout_s: float) -> None:
    """Rank 0 waits for the others, and then tells them that all are here."""

    def missing() -> list[str]:
        with server.cache_lock:
            come = set(server.cache.get(_HERE, {}))
        return [str(rank) for rank in range(1, size) if str(rank) not in come]

    if not _until(lambda: not missing(), timeout_s):
        raise RankLost(
            f"rank {', '.join(missing()[:5])} of {size} did not come within {timeout_s:.0f} s; "
            "see whether it runs, and start the job again."
        )
    with server.cache_lock:
        server.cache[_ALL_HERE] = {"yes": b"1"}


def _come(place: Place, address: str, port: int, timeout_s: float) -> None:
    """Another rank tells rank 0 that it is here, and waits until all are."""

    def ask(method: str, path: str) -> bool:
        connection = http.client.HTTPConnection(address, port, timeout=5.0)
        try:
            connection.request(method, path, body=b"1" if method == "PUT" else None)
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    if not _until(lambda: ask("PUT", f"/{_HERE}/{place.rank}"), timeout_s):
        raise RankLost(
            f"rank 0 was not found at {address}:{port} within {timeout_s:.0f} s; see whether it runs, "
            "and set MASTER_ADDR to an address that all nodes reach."
        )
    # A little longer than rank 0, which knows who is missing.
    if not _until(lambda: ask("GET", f"/{_ALL_HERE}/yes"), timeout_s + 5.0):
        raise RankLost(
            f"not all ranks came within {timeout_s:.0f} s; rank 0 says which are missing."
        )


def _until(done: Callable[[], bool], timeout_s: float) -> bool:
    """Look until it is so, or until the time is over."""
    end = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(_LOOK_S)
    return True
