#!/usr/bin/env bash
# test_cluster.sh - is hard on hpc/slurm/cluster.sh: kills, races, wrong folders, other users, and looks what stays behind
#
#   tests/slurm/test_cluster.sh            every case, about four minutes; as root for all of them
#   tests/slurm/test_cluster.sh CASE...    some: the functions case_CASE below
#
# Each case starts from nothing in a folder of its own and must leave nothing. CYCLES (15) sets the length of `cycles`.
set -uo pipefail
REPO=$(readlink -f "$(dirname "$(readlink -f "$0")")/../..")
BASE=$(mktemp -d /var/tmp/ahhard.XXXXXX) || exit 1
chmod 755 "$BASE"
export ASTROHPC_CLUSTER_ROOT=$BASE/a
unset "${!SLURM_@}"
failures=0
cluster() { "$REPO/hpc/slurm/cluster.sh" "$@"; }
trap 'cluster down --wipe >/dev/null; ASTROHPC_CLUSTER_ROOT=$BASE/b cluster down --wipe >/dev/null; rm -rf "$BASE"' EXIT

# ---------------------------------------------------------------- telling and asking
ok()   { printf '    ok    %s\n' "$*"; }
bad()  { printf '    FAIL  %s\n' "$*"; failures=$((failures + 1)); }
must() {                            # must WHAT COMMAND...: the command succeeds
    local what=$1 said t0=$SECONDS; shift
    if said=$("$@" 2>&1); then ok "$what$( ((SECONDS - t0 < 5)) || echo " ($((SECONDS - t0)) s)")"; else bad "$what: $said"; fi
}
refuses() {                         # refuses WHAT PATTERN COMMAND...: one line on stderr that matches, exit code 1
    local what=$1 pattern=$2 said code; shift 2
    said=$("$@" 2>&1 >/dev/null); code=$?
    if [ "$code" = 1 ] && [ "$(wc -l <<<"$said")" = 1 ] && [[ $said == *$pattern* ]]; then ok "$what: \"$said\""
    else bad "$what: exit $code, said: $said"
    fi
}
pids() { grep -lzxF "ASTROHPC_CLUSTER_OWNED_BY=$1" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3; }
nothing_left() {                    # nothing_left ROOT: no process, network, mount, cgroup or file
    local tag left=""
    tag=$(cksum <<<"$1"); tag=$(printf %08x "${tag%% *}")
    [ -z "$(pids "$1")" ] || left+=" processes: $(pids "$1" | tr '\n' ' ')"
    ! compgen -G "/sys/class/net/ah$tag*" >/dev/null || left+=" network links"
    ! compgen -G "/sys/fs/cgroup/*/astrohpc-$tag" >/dev/null || left+=" cgroups"
    ! grep -F " $1" /proc/mounts >/dev/null || left+=" mounts"
    [ ! -e "$1" ] || left+=" files"
    if [ -z "$left" ]; then ok "nothing is left"; else bad "left behind:$left"; fi
}
wipe() { cluster down --wipe >/dev/null || bad "down --wipe failed"; nothing_left "$ASTROHPC_CLUSTER_ROOT"; }
nodes_answer() {
    SLURM_CONF=$ASTROHPC_CLUSTER_ROOT/etc/slurm.conf timeout 60 srun -Q -N4 hostname && return
    grep -h error "$ASTROHPC_CLUSTER_ROOT"/log/{slurmctld,node?}.log | grep -v ' state ' | tail -n 20
    return 1
}
setting() { sed -n "s/^$1=//p" "$ASTROHPC_CLUSTER_ROOT/etc/settings"; }
reaches_head() { cluster exec "$1" timeout 2 bash -c "exec 3<>/dev/tcp/$(setting NET).254/$(($(setting PORT) + 1))"; }
took() { local t0=${EPOCHREALTIME/./}; "$@" >/dev/null 2>&1 || return 1; echo $(((${EPOCHREALTIME/./} - t0) / 1000)); }
pid_of() { cut -d' ' -f1 "$ASTROHPC_CLUSTER_ROOT/run/$1.pid"; }
beside() { local -x ASTROHPC_CLUSTER_ROOT=$BASE/b; "$@"; }       # the same on the second cluster

# ---------------------------------------------------------------- the cases
case_cycles() {
    local k up down ups=() downs=()
    for ((k = 1; k <= ${CYCLES:-15}; k++)); do
        up=$(took cluster up) || { bad "cycle $k: up"; cluster logs; return; }
        nodes_answer >/dev/null || bad "cycle $k: srun on 4 nodes"
        down=$(took cluster down) || bad "cycle $k: down"
        ups+=("$up") downs+=("$down")
    done
    ok "up: ${ups[*]} ms"
    ok "down: ${downs[*]} ms"
    wipe
    up=$(took cluster up); down=$(took cluster up)
    ok "up from nothing $up ms, when up already $down ms, down --wipe $(took cluster down --wipe) ms"
}
case_kills() {                      # each daemon in turn, then all at once, while a job runs
    local name
    cluster up >/dev/null || { bad up; return; }
    for name in munged mariadbd slurmdbd slurmctld node1; do
        # its state is saved every 5 s: it would give the ids of younger jobs again, to nodes where steps still end
        [ $name != slurmctld ] || sleep 7
        kill -9 "$(pid_of $name)"
        must "up after kill -9 of $name" cluster up
        must "  and 4 nodes answer" nodes_answer
    done
    SLURM_CONF=$ASTROHPC_CLUSTER_ROOT/etc/slurm.conf sbatch -Q -N2 -o /dev/null --wrap 'srun sleep 60'
    sleep 2
    pids "$ASTROHPC_CLUSTER_ROOT" | xargs kill -9 2>/dev/null
    must "up after kill -9 of everything" cluster up
    must "  and 4 nodes answer" nodes_answer
    must "status is healthy" cluster status
    pids "$ASTROHPC_CLUSTER_ROOT" | xargs kill -STOP
    must "up thaws what was frozen" cluster up
    must "  and 4 nodes answer" nodes_answer
    pids "$ASTROHPC_CLUSTER_ROOT" | xargs kill -STOP
    must "down of a frozen cluster" cluster down
    wipe
}
case_breaking() {                   # the verbs that break, and up as the repair
    cluster up >/dev/null || { bad up; return; }
    must "node-kill" cluster node-kill 3
    must "node-kill again" cluster node-kill node3
    refuses "exec in a dead node" "node3 is dead" cluster exec 3 true
    must "node-start" cluster node-start 3
    must "up repairs it" cluster up
    # shellcheck disable=SC2016  # expanded inside the node
    must "exec runs inside the node" test "$(cluster exec 2 bash -c 'echo "${ASTROHPC_CLUSTER_NODE:-$(hostname)}"')" = node2
    if [ "$(setting MODE)" = netns ]; then
        must "node4 reaches the head" reaches_head 4
        must "node-cut" cluster node-cut 4
        must "  no way to the head" test "$(reaches_head 4 2>&1; echo $?)" = 124
        must "node-heal" cluster node-heal 4
        must "  and back" reaches_head 4
        cluster node-cut 4 >/dev/null
        must "up plugs it in again" cluster up
        must "  and back" reaches_head 4
    fi
    must "controller-stop" cluster controller-stop
    must "up thaws it" cluster up
    must "controller-kill" cluster controller-kill
    refuses "status without controller" "not healthy" cluster status
    must "up restarts it" cluster up
    must "accounting-kill" cluster accounting-kill
    must "up restarts it" cluster up
    refuses "a node that is not there" "there is no node" cluster node-kill 9
    must "4 nodes answer" nodes_answer
    wipe
}
case_races() {
    local k a b code
    cluster up >"$BASE/1" 2>&1 & a=$!
    cluster up >"$BASE/2" 2>&1 & b=$!
    wait $a; code=$?; wait $b
    must "two ups at once" test "$code $?" = "0 0"
    must "one slurmctld" test "$(pids "$ASTROHPC_CLUSTER_ROOT" | xargs ps -o comm= | grep -c '^slurmctld$')" = 1
    must "4 nodes answer" nodes_answer
    cluster down --wipe >/dev/null & a=$!
    cluster down --wipe >/dev/null & b=$!
    wait $a; code=$?; wait $b
    must "two downs at once" test "$code $?" = "0 0"
    nothing_left "$ASTROHPC_CLUSTER_ROOT"
    for k in 0.1 0.4 0.8 1.5 2.5 3.2; do            # kill -9 of `up` itself, at different places
        setsid "$REPO/hpc/slurm/cluster.sh" up >/dev/null 2>&1 & a=$!
        sleep $k
        kill -9 $a 2>/dev/null; wait $a 2>/dev/null
        if [ $k = 1.5 ]; then must "up again after kill -9 of up" cluster up; fi
        wipe
    done
    cluster up >/dev/null
    rm -rf "$ASTROHPC_CLUSTER_ROOT"
    must "up after rm -rf of the running folder" cluster up
    must "4 nodes answer" nodes_answer
    rm -rf "$ASTROHPC_CLUSTER_ROOT"
    must "down after rm -rf of the running folder" cluster down
    nothing_left "$ASTROHPC_CLUSTER_ROOT"
}
case_folders() {
    refuses "a path with spaces" "letters, digits" env ASTROHPC_CLUSTER_ROOT="$BASE/with space" "$REPO/hpc/slurm/cluster.sh" up
    refuses "a path that is too long" "80 characters" env ASTROHPC_CLUSTER_ROOT="$BASE/$(printf '%0100d' 1)" "$REPO/hpc/slurm/cluster.sh" up
    refuses "a top folder" "below a top folder" env ASTROHPC_CLUSTER_ROOT=/ahhard "$REPO/hpc/slurm/cluster.sh" up
    mkdir -p "$BASE/mine"; echo precious >"$BASE/mine/file"
    refuses "somebody's folder" "no cluster made it" env ASTROHPC_CLUSTER_ROOT="$BASE/mine" "$REPO/hpc/slurm/cluster.sh" up
    ASTROHPC_CLUSTER_ROOT=$BASE/mine cluster down --wipe >/dev/null
    must "--wipe spares it" test -s "$BASE/mine/file"
    refuses "a nonsense setting" "whole number" env ASTROHPC_CLUSTER_NODES=many "$REPO/hpc/slurm/cluster.sh" up
    refuses "a shared path that is missing" "does not exist" env ASTROHPC_CLUSTER_SHARED=/tmp/not/there "$REPO/hpc/slurm/cluster.sh" up
    if [ "$(id -u)" = 0 ]; then
        refuses "a folder without rights" "cannot write" setpriv --reuid=65534 --regid=65534 --clear-groups "$REPO/hpc/slurm/cluster.sh" up
        cluster up >/dev/null
        refuses "another user's cluster" "belongs to root" setpriv --reuid=65534 --regid=65534 --clear-groups "$REPO/hpc/slurm/cluster.sh" down
        refuses "other settings on a running cluster" "run '" env ASTROHPC_CLUSTER_NODES=2 "$REPO/hpc/slurm/cluster.sh" up
    fi
    wipe
}
case_sharing() {                    # a private /tmp, with holes where they were asked for; the cluster itself below /tmp
    local root shared hidden job
    root=$(mktemp -d /tmp/ahhard.XXXXXX) shared=$(mktemp -d /tmp/ahshared.XXXXXX) hidden=$(mktemp -d /tmp/ahhidden.XXXXXX)
    rmdir "$root"; mkdir "$shared/with space"; echo "seen" >"$shared/with space/file"
    export ASTROHPC_CLUSTER_ROOT=$root ASTROHPC_CLUSTER_SHARED="$shared/with space:/usr"
    cluster up >/dev/null || bad up
    export SLURM_CONF=$root/etc/slurm.conf
    must "a shared path is seen" test "$(srun -N1 cat "$shared/with space/file")" = seen
    if [ "$(id -u)" = 0 ]; then
        must "/tmp is private" test "$(srun -N2 --chdir=/ bash -c 'mkdir /tmp/only-one && echo new' | wc -l)" = 2
        must "and not the head's" test ! -e /tmp/only-one
        must "/dev/shm is private" test "$(srun -N2 --chdir=/ bash -c 'mkdir /dev/shm/only-one && echo new' | wc -l)" = 2
        job=$(cd "$hidden" && sbatch --parsable --wait --wrap true 2>/dev/null)
        must "a job in a folder that no node sees fails, as on a real cluster" test "$(squeue -h -t all -j "$job" -o %T)" = FAILED
        refuses "a new path below /tmp while it runs" "not seen by" env ASTROHPC_CLUSTER_SHARED="$hidden" "$REPO/hpc/slurm/cluster.sh" up
    fi
    unset SLURM_CONF ASTROHPC_CLUSTER_SHARED
    wipe
    rm -rf "$shared" "$hidden"
    export ASTROHPC_CLUSTER_ROOT=$BASE/a
}
case_beside() {                     # two clusters do not notice each other
    cluster up >/dev/null || bad "first"
    beside must "second cluster" cluster up
    beside must "  its 4 nodes answer" nodes_answer
    must "the first one's 4 nodes answer" nodes_answer
    beside wipe
    must "the first one is healthy after the second went" cluster status
    must "  and its nodes answer" nodes_answer
    refuses "a port in use" "is in use" env ASTROHPC_CLUSTER_ROOT="$BASE/b" ASTROHPC_CLUSTER_PORT="$(setting PORT)" "$REPO/hpc/slurm/cluster.sh" up
    beside wipe
    wipe
}
case_sizes() {                      # plain mode, one node, no accounting, no GPUs
    local mode
    for mode in auto plain; do
        export ASTROHPC_CLUSTER_MODE=$mode ASTROHPC_CLUSTER_NODES=1 ASTROHPC_CLUSTER_ACCOUNTING=0 ASTROHPC_CLUSTER_GPUS=0
        must "$mode mode, 1 node, no accounting, no GPUs: $(took cluster up) ms" cluster status
        must "  and it answers" env SLURM_CONF="$ASTROHPC_CLUSTER_ROOT/etc/slurm.conf" timeout 60 srun -N1 -n2 true
        unset ASTROHPC_CLUSTER_MODE ASTROHPC_CLUSTER_NODES ASTROHPC_CLUSTER_ACCOUNTING ASTROHPC_CLUSTER_GPUS
        wipe
    done
}
case_user() {                       # an ordinary user, with accounting
    [ "$(id -u)" = 0 ] || { ok "not root: every other case runs as an ordinary user anyway"; return; }
    local user=ahhard$$
    useradd -M -d "$BASE/home" -s /bin/bash $user || { bad "useradd"; return; }
    mkdir "$BASE/home"; chown $user "$BASE/home"
    # shellcheck disable=SC2016  # expanded in that user's shell
    if su "$user" -s /bin/bash -c '
        set -e; cd "$1"; export ASTROHPC_CLUSTER_ROOT=$1/cluster; c=$2/hpc/slurm/cluster.sh
        "$c" up; eval "$("$c" env)"
        [ "$(srun -Q -N4 id -un | sort | uniq -c | tr -s " ")" = " 4 $(id -un)" ]
        id=$(sbatch --parsable -o job.out --wrap "echo from a job")
        for k in $(seq 100); do [ "$(sacct -n -X -P -j "$id" -o account,state)" != "astro|COMPLETED" ] || break; sleep 0.2; done
        [ "$k" != 100 ] && grep "from a job" job.out
        sbatch -Q -o /dev/null --wrap "sleep 100"; sleep 1
        "$c" node-kill 2; "$c" up
        "$c" down --wipe' sh "$BASE/home" "$REPO" >"$BASE/log" 2>&1; then ok "up, srun, sbatch, sacct, node-kill, up, down --wipe"
    else bad "as $user: $(tail -n 20 "$BASE/log")"
    fi
    nothing_left "$BASE/home/cluster"
    must "no process of that user lives" test -z "$(pgrep -u $user -r D,R,S,T)"
    userdel $user
}

cases=("$@")
[ ${#cases[@]} != 0 ] || mapfile -t cases < <(declare -F | sed -n 's/^declare -f case_//p')
for name in "${cases[@]}"; do
    began=$SECONDS
    echo "$name"
    "case_$name"
    echo "    ($((SECONDS - began)) s)"
done
echo "test_cluster: $failures failures"
[ "$failures" = 0 ]
