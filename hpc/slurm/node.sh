# shellcheck shell=bash
# node.sh - virtual nodes: boot, power off, cables, a door; sourced by cluster.sh.
#
# netns mode: a node is a process `unshare` that node-init.sh became. Killing it kills the node's pid 1 and, with it,
# everything inside: a true power failure. Its cable is a veth pair into a bridge that leads nowhere else.
# plain mode: a node is a slurmd with a port of its own on this machine.

BRIDGE_PREFIX=ah
CGROUP_PREFIX=astrohpc-
bridge() { echo "$BRIDGE_PREFIX$TAG"; }
cable()  { echo "$BRIDGE_PREFIX$TAG.$1"; }
cgroup() { echo "$CGROUP_PREFIX$TAG"; }
nodes()  { seq 1 "$NODES"; }
find_node() {                       # find_node 3, or node3: sets the caller's i
    i=${1#node}
    if [[ $i =~ ^[1-9][0-9]?$ ]] && ((i <= NODES)); then return; fi
    die "there is no node '$1': this cluster has node1 to node$NODES"
}

# ---------------------------------------------------------------- network
# Hardware addresses are fixed, as those of real machines. Left to the kernel, a rebooted node gets a new one and the
# bridge takes another with each cable, while the neighbours' ARP tables still name the old ones.
hardware() { printf '02:61:68:00:00:%02x' "$1"; }
up_bridge() {
    local bridge; bridge=$(bridge)
    [ -e "/sys/class/net/$bridge" ] || ip link add "$bridge" address "$(hardware 254)" type bridge
    ip address replace "$NET.254/24" dev "$bridge"
    ip link set "$bridge" up
}
own_network() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
plug() {                            # plug I PID: lay the cable of a node that has just been launched
    local k
    for ((k = 0; k < 200; k++)); do
        [ -e "/proc/$2" ] || return 0           # died at once: boot_nodes tells
        if own_network "$2"; then
            ip link add "$(cable "$1")" type veth peer name eth0 address "$(hardware "$1")" netns "$2" &&
                ip link set "$(cable "$1")" master "$(bridge)" up
            return 0
        fi
        sleep 0.05
    done
}
unplug() { ip link delete "$(cable "$1")" 2>/dev/null || true; }

# ---------------------------------------------------------------- life and death
boot_nodes() {                      # boot_nodes I...: starts those that are dead, all at once, and plugs every cable in
    local i pid dead=()
    for i in "$@"; do pid_of "node$i" >/dev/null || dead+=("$i"); done
    [ "$MODE" = plain ] || up_bridge
    for i in "${dead[@]}"; do
        mkdir -p "$ROOT/spool/node$i" "$ROOT/nodes/node$i"      # TmpFS of plain mode
        if [ "$MODE" = plain ]; then
            launch "node$i" env "$MARK_NODE=node$i" slurmd -D -N "node$i"
        else
            unplug "$i"
            forget "$i"
            remove_cgroups "$(cgroup)/node$i"
            launch "node$i" env "$MARK_NODE=node$i" SHARED="$SHARED" CGROUP="$(if [ "$CGROUP" = 1 ]; then cgroup; fi)" \
                CONTROLLERS="${CONTROLLERS[*]}" bash "$HERE/node-init.sh" enter "$ROOT" "node$i" "$NET.$i"
        fi
    done
    [ "$MODE" = netns ] || return 0
    for i in "${dead[@]}"; do if pid=$(pid_of "node$i"); then plug "$i" "$pid"; fi; done
    for i in "$@"; do ip link set "$(cable "$i")" master "$(bridge)" up 2>/dev/null || true; done
}
power_off() {                       # power_off I: nothing of the node gets a chance to say goodbye
    kill_daemon "node$1"
    if [ "$MODE" = netns ]; then unplug "$1"; else kill_strays "node$1"; fi
    forget "$1"
}
# A node has no disk: what it kept dies with it. Slurm's pmix plugin never removes the sockets of killed steps, and a
# requeued job that comes back to the node would fail on its own: "Cannot bind() UNIX socket ... Address already in use".
forget() {
    rm -rf "$ROOT/spool/node$1"
    mkdir -p "$ROOT/spool/node$1" "$ROOT/nodes/node$1"
}
node_states() { timeout 5 sinfo -h -N -p main -o '%N %t'; }
nodes_ready() { [ "$(node_states | grep -Ec ' (idle|mix|alloc|comp)$')" = "$NODES" ]; }
# A node that comes back before Slurm missed it leaves its jobs RUNNING or COMPLETING for a minute, and their place taken
declare_down() {                    # declare_down node1,node3
    if [ -n "$1" ] && [ -n "$(timeout 5 squeue -h -t RUNNING,COMPLETING,SUSPENDED -w "$1" 2>/dev/null)" ]; then
        timeout 5 scontrol update nodename="$1" state=down reason="found dead by cluster.sh up" || true
    fi
}
resume_nodes() {                    # those that an earlier failure left drained or down
    local name
    for name in $(node_states | awk '$2 ~ /^(drain|drng|down|fail)/ { print $1 }'); do
        timeout 5 scontrol update nodename="$name" state=resume 2>/dev/null || true
    done
}
up_nodes() {
    local did=running i end=$((SECONDS + 60)) lost="" names=""
    for i in $(nodes); do
        if ! pid_of "node$i" >/dev/null; then
            did=started
            [ -n "$(strays "node$i")" ] || names+=,node$i       # in plain mode its jobs may have outlived slurmd
        fi
    done
    declare_down "${names#,}"
    # shellcheck disable=SC2046  # numbers
    boot_nodes $(nodes)
    until nodes_ready; do
        for i in $(nodes); do if ! pid_of "node$i" >/dev/null; then lost=$i; fi; done
        [ -z "$lost" ] || die "node$lost died while starting ($(last_words "node$lost")): its logs are $ROOT/log/node$lost.out and .log"
        ((SECONDS < end)) || die "after 60 s the nodes are not all ready ($(node_states | tr '\n' ',')): see $ROOT/log/node*.log, and '$SELF down' followed by '$SELF up' boots them afresh"
        resume_nodes
        sleep 0.1
    done
    step "nodes 1-$NODES" "$did"
}

# ---------------------------------------------------------------- what must not stay behind
remove_cgroups() {                  # remove_cgroups PATH: below every hierarchy; the kernel needs a moment after a death
    local dir k
    for dir in /sys/fs/cgroup/*/"$1"; do
        for ((k = 0; k < 100; k++)); do
            [ -d "$dir" ] || break
            find "$dir" -depth -type d -exec rmdir {} \; 2>/dev/null || true
            [ -d "$dir" ] || break
            sleep 0.05
        done
    done
}
sweep() {                           # everything that $ROOT ever started, found without its files
    local link
    kill_strays
    rm -rf "$ROOT"/run/*.pid "$ROOT"/spool/*
    [ "$(id -u)" = 0 ] || return 0
    for link in /sys/class/net/"$(bridge)"*; do
        [ ! -e "$link" ] || ip link delete "${link##*/}" 2>/dev/null || true
    done
    remove_cgroups "$(cgroup)"
}
