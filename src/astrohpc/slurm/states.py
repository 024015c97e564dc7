"""What Slurm's words mean: states, reasons, and refusals, as sentences with a next step."""

from typing import Literal

from astrohpc.outcome import Outcome

Phase = Literal["waiting", "running", "over"]

# Everything that is not waiting or running is over; a word that a later Slurm invents is treated as
# running, because to take a live job for dead is the one mistake that costs a user's results.
_WAITING = frozenset(
    {"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
)
_OVER = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    }
)


def phase(state: str) -> Phase:
    """Whether a job in this state waits, runs, or is over."""
    word = state.partition(" ")[0].rstrip("+")  # 'CANCELLED by 1000'
    if word in _WAITING:
        return "waiting"
    return "over" if word in _OVER else "running"


# What a job's final state says about an attempt that left no word of its own.
OUTCOME_OF_STATE = {
    "OUT_OF_MEMORY": Outcome.OUT_OF_MEMORY,
    "TIMEOUT": Outcome.TIMED_OUT,
    "DEADLINE": Outcome.TIMED_OUT,
    "NODE_FAIL": Outcome.NODE_FAILED,
    "BOOT_FAIL": Outcome.NODE_FAILED,
    "PREEMPTED": Outcome.PREEMPTED,
    "CANCELLED": Outcome.PREEMPTED,
}

# Slurm holds a job whose start went wrong (its node or slurmctld died at that moment), and its owner may
# let it go again. Until then whatever depends on it waits too.
HELD_BY_ACCIDENT = "launch failed requeued held"

# Why a job waits, in the words of squeue's reason column (slurm/src/common/slurm_protocol_defs.c).
REASONS = {
    "None": "it has just been submitted and the scheduler has not looked at it yet",
    "Priority": "jobs with a higher priority are before it; it starts when they have",
    "Resources": "it is next, and waits until enough cores, memory or GPUs are free",
    "Dependency": "it waits for another job of this sweep",
    "DependencyNeverSatisfied": "a job that it depends on failed, so it can never start; cancel it",
    "JobArrayTaskLimit": "as many members run as the throttle allows; 'throttle' changes it",
    "BeginTime": "it was requeued, and Slurm waits about two minutes before it starts it again",
    "JobHeldUser": "it was held by its owner; 'scontrol release' lets it go",
    "JobHeldAdmin": "an administrator, or too many requeues, hold it; ask the support team",
    "ReqNodeNotAvail": "a node that it needs is down or reserved, often before a maintenance",
    "PartitionTimeLimit": "its walltime is longer than the partition allows; shorten allocation.walltime",
    "PartitionNodeLimit": "it asks for more nodes than the partition allows; lower allocation.nodes",
    "PartitionDown": "its partition is closed; wait, or choose another allocation.partition",
    "PartitionConfig": "its partition cannot give what it asks for; look at allocation.memory",
    "BadConstraints": "no node has what it asks for; look at allocation.constraint and memory",
    "AssocGrpCPUMinutesLimit": "the project has used up its core hours; ask for more",
    "AssocGrpBillingMinutes": "the project has used up its allocation; ask for more",
    "AssocMaxJobsLimit": "as many of your jobs run as your account may have at once",
    "AssocGrpJobsLimit": "as many jobs of the project run as it may have at once",
    "QOSMaxJobsPerUserLimit": "as many of your jobs run as this QOS allows",
    "QOSMaxCpuPerUserLimit": "your jobs use as many cores as this QOS allows",
    "QOSMaxWallDurationPerJobLimit": "its walltime is longer than its QOS allows; shorten it",
    "QOSMaxSubmitJobPerUserLimit": "this QOS lets you queue no more jobs; the next wave follows by itself",
    "Licenses": "it waits for a licence",
    "Reservation": "it waits for its reservation to begin",
    "NonZeroExitCode": "its script ended with an error",
    HELD_BY_ACCIDENT: "its node could not start it and Slurm holds it; the next 'launch sweep' lets it go",
}


def reason_sentence(reason: str) -> str:
    """Turn squeue's reason into a sentence; an unknown one is passed on as it is."""
    key = reason.strip("()").split(",")[0].strip()
    return REASONS.get(key, f"Slurm says {key!r}")


# sbatch's refusals, by a part of their text, and what to do about each.
REFUSALS = {
    "Invalid account": "the account or its right to this partition is unknown to Slurm; "
    "set allocation.account (and allocation.partition) to one that 'sacctmgr show assoc user=$USER' lists",
    "invalid partition": "there is no such partition; set allocation.partition to one that 'sinfo' lists",
    "Invalid partition": "there is no such partition; set allocation.partition to one that 'sinfo' lists",
    "Invalid qos": "the QOS is unknown or not yours; set allocation.qos",
    "Requested time limit": "allocation.walltime is longer than the partition or QOS allows; shorten it",
    "Memory specification": "no node has that much memory; lower allocation.memory",
    "node configuration is not available": "no node has what is asked for; "
    "lower allocation.memory, cpus_per_task, gpus_per_node or nodes",
    "More processors requested": "no node has that many cores; lower allocation.cpus_per_task",
    "Invalid job array": "the array is longer than MaxArraySize allows; set site.max_array_size",
    "violates accounting/QOS policy": "it exceeds what the account or QOS may submit; "
    "lower the request, or wait until earlier jobs have ended",
    "Invalid feature": "no node has that feature; set allocation.constraint",
    "Reservation": "the reservation is unknown or over; set allocation.reservation",
    "Invalid generic resource": "no node has such a GPU; set site.gpu_type or allocation.gpus_per_node",
}

# Texts that mean that nobody answered, which says nothing about the job.
SILENCE = (
    "Unable to contact slurm controller",
    "Socket timed out",
    "Connection refused",
    "Connection timed out",
    "Zero Bytes were transmitted",
    "Transport endpoint",
    "Unable to establish controller",
    "unavailable",
    "temporarily unable to accept",
    "Slurm backup controller in standby",
    "Rate limit exceeded",
    "Munge",
    "Protocol authentication error",
)
