#!/usr/bin/env bash
# selftest.sh - proves on the running cluster, in less than two minutes, what the tests of astrohpc rely on
#
#   hpc/slurm/cluster.sh up && hpc/slurm/selftest.sh
#
# Prints ok / FAIL / skip lines and a total; exits 1 on a FAIL. PYTHON (default: the repository's .venv) needs mpi4py.
# Asks squeue, not sacct: the controller knows at once and for MinJobAge, the database lags behind by seconds.
set -uo pipefail
HERE=$(dirname "$(readlink -f "$0")")
PYTHON=${PYTHON:-$(readlink -f "$HERE/../..")/.venv/bin/python}
cluster() { "$HERE/cluster.sh" "$@"; }
environment=$(cluster env) || exit 1
eval "$environment"
cluster status >/dev/null || { cluster status; exit 1; }
NODES=$(sinfo -h -p main -o %D)
[ "$NODES" -ge 2 ] || { echo "selftest: needs a cluster of at least 2 nodes, this one has $NODES: run '$HERE/cluster.sh down', then ASTROHPC_CLUSTER_NODES=4 '$HERE/cluster.sh up'" >&2; exit 1; }
WORK=$(mktemp -d "$ASTROHPC_CLUSTER_ROOT/selftest.XXXXXX") || exit 1       # a folder that every node sees
trap 'rm -rf "$WORK"' EXIT
cd "$WORK" || exit 1
passed=0 failed=0 skipped=0 last_ms=$((${EPOCHREALTIME/[.,]/} / 1000)) began=$SECONDS

# ---------------------------------------------------------------- telling
line() {
    local now=$((${EPOCHREALTIME/[.,]/} / 1000))
    printf '%-5s %-52s %6d ms  %s\n' "$1" "$2" $((now - last_ms)) "$3"
    last_ms=$now
}
expect() {                          # expect WHAT WANTED GOT
    if [ "$2" = "$3" ]; then passed=$((passed + 1)); line ok "$1" "$2"
    else
        failed=$((failed + 1))
        line FAIL "$1" "wanted '$2', got '$3'"
        squeue -h -o '      queue: job %i is %T (%r) on %N'
        sinfo -h -N -p main -o '      %N is %t (%E)'
    fi
}
skip() { skipped=$((skipped + 1)); line skip "$1" "$2"; }

# ---------------------------------------------------------------- asking
submit() { sbatch --parsable --output=/dev/null --time=10 "$@"; }
finish() {                          # finish ID [SECONDS]: wait until the controller has no live task of it
    local end=$((SECONDS + ${2:-60}))
    while ((SECONDS < end)) && [ -n "$(squeue -h -j "$1" 2>/dev/null)" ]; do sleep 0.1; done
}
states() {                          # states ID: "COMPLETED*2 FAILED*1"
    squeue -h -r -t all -j "$1" -o %T | sort | uniq -c | awk '{ printf "%s%s*%s", (NR > 1 ? " " : ""), $2, $1 }'
}
flat() { sort | uniq -c | awk '{ printf "%s%s*%s", (NR > 1 ? " " : ""), $2, $1 }'; }
words() { tr '\n' ' ' <"$1" | sed 's/ $//'; }

# shellcheck disable=SC2016  # these scripts are expanded inside the job
{
COUNT='echo $SLURMD_NODENAME'
GPU='echo $CUDA_VISIBLE_DEVICES'
ODD_FAILS='exit $((SLURM_ARRAY_TASK_ID % 2))'
# first run: waits to be interrupted; second run: ends at once
RESTARTABLE='echo start${SLURM_RESTART_COUNT:-0} >>"$LOG"; [ -n "${SLURM_RESTART_COUNT:-}" ] || sleep 60'
}

# ---------------------------------------------------------------- the checks
wanted=$(for ((i = 1; i <= NODES; i++)); do printf 'node%d*2 ' "$i"; done)
expect "srun: 2 tasks on each of $NODES nodes" "${wanted% }" "$(srun -N"$NODES" --ntasks-per-node=2 bash -c "$COUNT" | flat)"

sbatch --quiet --wait --output=/dev/null --wrap 'exit 3'
expect "sbatch: the script's exit code comes back" 3 $?

gpus=$(sinfo -h -p main -o %G | sed -n 's/^gpu:\([0-9]*\).*/\1/p')
if [ "${gpus:-0}" -ge 2 ]; then
    expect "GPUs: each of 2 tasks sees its own" "0*1 1*1" "$(srun -N1 -n2 --gpus-per-task=1 bash -c "$GPU" | flat)"
else
    skip "GPUs: each of 2 tasks sees its own" "nodes have ${gpus:-no} GPU: set ASTROHPC_CLUSTER_GPUS"
fi

id=$(submit --array=0-99%16 --wrap true)
finish "$id" 90
expect "array: 100 tasks, 16 at a time" "COMPLETED*100" "$(states "$id")"

first=$(submit --array=0-3 --wrap "$ODD_FAILS")
second=$(submit --array=0-3 --dependency=aftercorr:"$first" --kill-on-invalid-dep=yes --wrap true)
finish "$second"
expect "aftercorr: only what its own task allows runs" "CANCELLED*2 COMPLETED*2" "$(states "$second")"

# shellcheck disable=SC2016  # expanded inside the job
id=$(submit --mem=100 --wrap 'hog=$(head -c 300M /dev/zero | tr "\0" x); sleep 30')
finish "$id"
state=$(states "$id")
case $state in OUT_OF_MEMORY*|FAILED*|CANCELLED*) memory=enforced ;; *) memory="$state" ;; esac
expect "memory: 300 MB in a job of 100 MB ($state)" enforced "$memory"

id=$(LOG=$WORK/requeue submit --requeue --wrap "$RESTARTABLE")
for ((k = 0; k < 100; k++)); do [ ! -s requeue ] || break; sleep 0.1; done
sleep 1                             # a job that has just begun may not be requeued
scontrol requeue "$id"
finish "$id"
expect "requeue: the job runs again and knows it" "start0 start1" "$(words requeue)"

id=$(LOG=$WORK/node submit --requeue --nodelist=node2 --wrap "$RESTARTABLE")
for ((k = 0; k < 100; k++)); do [ ! -s node ] || break; sleep 0.1; done
sleep 1
cluster node-kill 2 >/dev/null
scontrol update nodename=node2 state=down reason=selftest       # instead of waiting for SlurmdTimeout
cluster node-start 2 >/dev/null
for ((k = 0; k < 100; k++)); do
    scontrol update nodename=node2 state=resume 2>/dev/null
    if sinfo -h -n node2 -p main -o %t | grep -xE 'idle|mix|alloc' >/dev/null; then break; fi
    sleep 0.2
done
finish "$id"
expect "node failure: the job is requeued and completes" "start0 start1 COMPLETED*1" "$(words node) $(states "$id")"

id=$(submit --wrap 'until [ -e go ]; do sleep 0.2; done')
for ((k = 0; k < 100; k++)); do [ "$(states "$id")" != "RUNNING*1" ] || break; sleep 0.1; done
touch running                       # slurmctld saves its state every 5 s; a younger job would be started twice, and held
sleep 6                             # and the first save after `running` may have been gathered just before
for ((k = 0; k < 100; k++)); do [ ! "$ASTROHPC_CLUSTER_ROOT/state/job_state" -nt running ] || break; sleep 0.1; done
cluster controller-kill >/dev/null
cluster up >/dev/null || cluster status
touch go
finish "$id"
expect "controller killed: the running job goes on" "COMPLETED*1" "$(states "$id")"

SUM='from mpi4py import MPI; c = MPI.COMM_WORLD; s = c.allreduce(c.rank + 1); print(s) if c.rank == 0 else None'
if "$PYTHON" -c 'import mpi4py' 2>/dev/null; then
    expect "MPI: srun, 2 nodes x 2 ranks, sum of 1 to 4" 10 \
        "$(timeout 60 srun -N2 --ntasks-per-node=2 --mpi=pmix "$PYTHON" -m mpi4py -c "$SUM" 2>mpi.err | tail -n 1)"
    [ ! -s mpi.err ] || [ "$failed" = 0 ] || tail -n 5 mpi.err
    printf '#!/bin/bash\nmpirun "%s" -c "%s"\n' "$PYTHON" "$SUM" >mpi.sbatch
    finish "$(submit -N2 --ntasks-per-node=2 --output=mpi.out mpi.sbatch)"
    expect "MPI: mpirun inside an allocation of 2 nodes" 10 "$(tail -n 1 mpi.out)"
else
    skip "MPI over 2 nodes" "$PYTHON cannot import mpi4py: set PYTHON to one that can"
fi

echo "selftest: $passed ok, $failed failed, $skipped skipped in $((SECONDS - began)) s"
[ "$failed" = 0 ]
