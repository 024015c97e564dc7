"""Who a process is to the scheduler that started it."""

import os
import socket


def job_name() -> str:
    """Who we are: ``1234_5`` under Slurm, ``local-1_5`` under the local scheduler, else host:pid."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    if array and task:
        return f"{array}_{task}"
    return (
        os.environ.get("SLURM_JOB_ID")
        or os.environ.get("ASTROHPC_JOB")
        or f"{socket.gethostname()}:{os.getpid()}"
    )


def own_job() -> str | None:
    """Id of the job that this process runs in, without its task; None outside of any."""
    name = job_name()
    return None if ":" in name else name.partition("_")[0]
