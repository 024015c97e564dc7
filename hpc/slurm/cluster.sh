#!/usr/bin/env bash
# cluster.sh - a private, real, multi-node Slurm with accounting on one machine; `cluster.sh --help` tells the rest.
#
# settings.sh  where it lives, what was asked of it      config.sh     modes, free addresses, Slurm's files (*.conf.in)
# process.sh   one daemon: start, stop, find again       daemons.sh    munged, mariadbd, slurmdbd, slurmctld, accounts
# node.sh      virtual nodes                             node-init.sh  pid 1 of a node
set -euo pipefail
export LC_ALL=C PATH=/usr/sbin:/sbin:$PATH
umask 022
SELF=$(readlink -f "${BASH_SOURCE[0]}")
HERE=${SELF%/*}
# shellcheck source-path=SCRIPTDIR source=process.sh
. "$HERE/process.sh"
# shellcheck source-path=SCRIPTDIR source=settings.sh
. "$HERE/settings.sh"
# shellcheck source-path=SCRIPTDIR source=config.sh
. "$HERE/config.sh"
# shellcheck source-path=SCRIPTDIR source=daemons.sh
. "$HERE/daemons.sh"
# shellcheck source-path=SCRIPTDIR source=node.sh
. "$HERE/node.sh"

PACKAGES=(slurmctld slurmd slurmdbd slurm-client slurm-wlm-basic-plugins slurm-wlm-mysql-plugin munge mariadb-server
          openmpi-bin libopenmpi-dev libpmix2 libpmi2-0 iproute2 util-linux)

usage() {
    cat <<'END'
cluster.sh - a private, real, multi-node Slurm with accounting on this machine, in seconds, without systemd or Docker

  hpc/slurm/cluster.sh up                      start it, or repair it: whatever is dead is started, drained nodes resumed
  eval "$(hpc/slurm/cluster.sh env)"           point sinfo, sbatch, srun, sacct and mpirun of this shell at it
  srun -N4 hostname
  hpc/slurm/cluster.sh down --wipe             stop it and delete all it wrote

Verbs
  install            Debian packages of Slurm, munge, MariaDB and OpenMPI (root; 20 s)
  up                 idempotent; safe when run twice at once
  status             a line for each daemon and node; exit 0 only when all is healthy
  env                shell exports for clients
  down [--wipe]      cancel jobs and stop; --wipe kills at once and deletes the folder, jobs, accounting and logs
  exec N CMD...      run CMD inside node N, as ssh would
  logs [NAME]        last lines of every log, or more of one: slurmctld, slurmdbd, mariadbd, munged, node1, ...

Verbs that break things, as machines do
  node-kill N        power failure of node N; Slurm notices after about 30 s. To make it notice now:
                     scontrol update nodename=nodeN state=down reason=test
  node-start N       power on. Sooner than Slurm noticed the failure, it takes Slurm minutes to miss the node's jobs
  node-cut N         pull the network cable: jobs run on, unseen, while Slurm requeues them
  node-heal N        plug it in again
  controller-kill    kill -9 of slurmctld; `up` starts it again. Slurm saves its state every 5 s: younger jobs may be
                     lost, or started twice and held
  controller-stop    freeze slurmctld: clients hang, as under an overloaded scheduler
  controller-cont    thaw it
  accounting-kill    kill -9 of slurmdbd and its database; `up` starts them again

What is there
  partitions         main (default), low and grace (preempted by urgent; grace after 20 s), urgent, short (at most 2 min)
  accounts           astro, your default; QOS capped holds 50 jobs of a user in the queue. Others are refused
  each node          its own hostname, network, processes, /tmp and /dev/shm. Shared by all: this repository, the
                     cluster's folder, $VIRTUAL_ENV and ASTROHPC_CLUSTER_SHARED; outside /tmp and /dev/shm, everything.
                     A virtual environment or clone below /tmp that is none of these is invisible to jobs: list it

Settings (environment; fixed from `up` to `down`)
  ASTROHPC_CLUSTER_ROOT        folder of everything it writes    (/var/tmp/astrohpc-cluster-UID)
  ASTROHPC_CLUSTER_NODES       virtual nodes                     (4)
  ASTROHPC_CLUSTER_CPUS        CPUs a node claims to have        (8)
  ASTROHPC_CLUSTER_MEM         MB a node claims to have          (8000)
  ASTROHPC_CLUSTER_GPUS        fake GPUs of a node               (4)
  ASTROHPC_CLUSTER_MAX_ARRAY   MaxArraySize                      (1001, as Slurm's default)
  ASTROHPC_CLUSTER_ACCOUNTING  1 with slurmdbd and MariaDB, 0 without sacct, accounts and QOS  (1)
  ASTROHPC_CLUSTER_SHARED      more paths that nodes must see, separated by colons
  ASTROHPC_CLUSTER_MODE        netns (root, namespaces), plain (anybody; one /tmp and hostname), auto  (auto)
  ASTROHPC_CLUSTER_CGROUP      1 real memory limits, 0 polling, auto  (auto)
  ASTROHPC_CLUSTER_PORT        first of 200 ports                (auto: a free block from 20000)
  ASTROHPC_CLUSTER_NET         first three numbers of the nodes' network  (auto: a free 10.99.X)
Clusters with different ROOTs run side by side. Nothing here is meant for production: see README.md.
END
}

# ---------------------------------------------------------------- from nothing to running, and back
cmd_install() {
    local missing=() package
    for package in "${PACKAGES[@]}"; do
        dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -x installed >/dev/null || missing+=("$package")
    done
    [ ${#missing[@]} != 0 ] || { say "all packages are installed"; return; }
    [ "$(id -u)" = 0 ] || die "these packages are missing: ${missing[*]}; run '$SELF install' as root"
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq -o DPkg::Lock::Timeout=900 update
    apt-get -qq -o DPkg::Lock::Timeout=900 install -y --no-install-recommends "${missing[@]}" >/dev/null ||
        die "apt-get could not install the packages: its message is above"
}
require_programs() {
    local program programs=(slurmctld slurmd scontrol sinfo srun munged unmunge flock setsid awk seq)
    if [ "$ACCOUNTING" = 1 ]; then programs+=(slurmdbd sacctmgr mariadbd mariadb-install-db mariadb-admin); fi
    for program in "${programs[@]}"; do
        command -v "$program" >/dev/null || die "the program $program is missing: run '$SELF install' as root"
    done
}
cmd_up() {
    local began; began=$(now_ms); STEP_MS=$began
    lock claim_root
    decide_settings
    require_programs
    if any_alive; then
        refuse_changes
        thaw
    else
        sweep                       # as after a power failure of the whole machine
        choose_mode
        choose_addresses
        if [ "$MODE" = netns ]; then up_bridge; fi      # slurmctld's address lies there; and no other cluster takes it now
        write_config
    fi
    say "cluster at $ROOT: $MODE mode, $NODES nodes of $CPUS CPUs, $MEM MB, $GPUS fake GPUs"
    up_head
    up_nodes
    say "up after $(($(now_ms) - began)) ms; now: eval \"\$($(printf %q "$SELF") env)\" && sinfo"
}
cmd_down() {
    local name file
    case ${1:-} in ''|--wipe) ;; *) die "down takes --wipe or nothing, not '$1'" ;; esac
    require_owner
    lock
    if [ "${1:-}" != --wipe ] && any_alive && read_saved; then
        recall_settings
        thaw
        cancel_jobs
        stop slurmctld 20           # before the nodes: a controller that pings dead nodes takes 5 s longer to stop
        for file in "$ROOT"/run/node*.pid; do
            name=${file##*/node}
            [ ! -e "$file" ] || power_off "${name%.pid}" &
        done
        wait
        stop slurmdbd 20
        stop mariadbd 30
        stop munged 5
    fi
    sweep
    rm -f "$ROOT/etc/settings"
    if [ "${1:-}" = --wipe ]; then wipe_root; fi
    say "down: $ROOT"
}

# ---------------------------------------------------------------- looking
cmd_status() {
    local name pid bad=0 word
    recall_settings
    for name in $(head_daemons) $(nodes | sed s/^/node/); do
        word=running
        if ! pid=$(pid_of "$name"); then pid=- word=DEAD bad=1
        elif is_frozen "$pid"; then word=FROZEN bad=1
        fi
        printf '%-10s %-8s pid %s\n' "$name" "$word" "$pid"
    done
    if [ "$bad" = 0 ]; then
        timeout 10 sinfo -h -N -p main -o '%N %t, %c CPUs, %m MB, %G' && nodes_ready || bad=1
    fi
    [ "$bad" = 0 ] || die "not healthy: '$SELF up' repairs it"
}
cmd_env() {
    recall_settings
    printf 'export SLURM_CONF=%q ASTROHPC_CLUSTER_ROOT=%q\n' "$SLURM_CONF" "$ROOT"
    # more MPI ranks than cores: a waiting one must let others run
    echo "export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_rmaps_base_oversubscribe=1"
    [ "$(id -u)" != 0 ] || echo "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"
    # one hostname for all nodes: OpenMPI would take ranks of different nodes for neighbours in memory, and crash
    [ "$MODE" = netns ] || echo "export OMPI_MCA_btl=self,tcp"
}
cmd_logs() {
    local file files=() lines=5 name=${1:-*}
    [ "$name" = '*' ] || lines=60
    for file in "$ROOT"/log/$name.log "$ROOT"/log/$name.out; do     # what Slurm logs it also says on its terminal
        if [ -s "$file" ] && { [ "${file%.out}" = "$file" ] || [ ! -s "${file%.out}.log" ]; }; then files+=("$file"); fi
    done
    [ ${#files[@]} != 0 ] || die "there is no log of '${1:-any daemon}' in $ROOT/log"
    tail -n "$lines" -v -- "${files[@]}"
}
cmd_exec() {
    local i pid
    recall_settings
    find_node "${1:-}"; shift
    [ $# != 0 ] || die "exec needs a command: $SELF exec $i hostname"
    pid=$(pid_of "node$i") || die "node$i is dead: start it with '$SELF node-start $i'"
    eval "$(cmd_env)"
    [ "$MODE" = netns ] || exec env "$MARK_NODE=node$i" "$@"
    require_owner
    read -r pid _ <"/proc/$pid/task/$pid/children" || true       # the node's pid 1; this file has no newline
    # shellcheck disable=SC2016  # expanded inside the node
    exec nsenter --target "$pid" --all -- bash -c 'cd "$1" 2>/dev/null || cd /; shift; exec "$@"' exec "$PWD" "$@"
}

# ---------------------------------------------------------------- breaking
begin_breaking() { require_owner; recall_settings; lock; }
cmd_node-kill() {
    local i; begin_breaking; find_node "${1:-}"
    power_off "$i"
    say "node$i: off"
}
cmd_node-start() {
    local i; begin_breaking; find_node "${1:-}"
    boot_nodes "$i"
    say "node$i: on"
}
cmd_node-cut()  { move_cable down "${1:-}"; }
cmd_node-heal() { move_cable up "${1:-}"; }
move_cable() {
    local i; begin_breaking; find_node "$2"
    [ "$MODE" = netns ] || die "in plain mode nodes have no cable of their own: node-cut and node-heal need netns mode"
    ip link set "$(cable "$i")" "$1" 2>/dev/null || die "node$i is off: start it with '$SELF node-start $i'"
    say "node$i: cable $1"
}
cmd_controller-kill() { begin_breaking; kill_daemon slurmctld; say "slurmctld: killed"; }
cmd_controller-stop() { signal_controller STOP frozen; }
cmd_controller-cont() { signal_controller CONT thawed; }
signal_controller() {
    local pid; begin_breaking
    pid=$(pid_of slurmctld) || die "slurmctld is dead: start it with '$SELF up'"
    kill -"$1" "$pid"
    say "slurmctld: $2"
}
cmd_accounting-kill() {
    begin_breaking
    [ "$ACCOUNTING" = 1 ] || die "this cluster has no accounting: run 'down', then 'up' with ASTROHPC_CLUSTER_ACCOUNTING=1"
    kill_daemon slurmdbd
    kill_daemon mariadbd
    say "slurmdbd and mariadbd: killed"
}

# ---------------------------------------------------------------- main
main() {
    local verb=${1:-} inherited conf
    case $verb in
        -h|--help|help) usage; return ;;
        '') TOLD=1; usage >&2; return 2 ;;
    esac
    declare -F "cmd_$verb" >/dev/null || die "there is no verb '$verb': see '$SELF --help'"
    shift
    conf=${SLURM_CONF:-}
    find_root
    [ "$conf" != "$SLURM_CONF" ] || [ -z "${SLURMD_NODENAME:-}" ] ||
        die "this is a job on the cluster itself: run $verb from outside of it"
    # a caller's wishes for another Slurm (its job's variables, SLURM_CLUSTERS, SQUEUE_FORMAT) are not for ours
    for inherited in "${!SLURM_@}" "${!SBATCH_@}" "${!SQUEUE_@}" "${!SINFO_@}"; do
        [ "$inherited" = SLURM_CONF ] || unset "$inherited"
    done
    "cmd_$verb" "$@"
}
trap 'at_exit $?' EXIT
main "$@"
