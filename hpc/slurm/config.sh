# shellcheck shell=bash
# config.sh - what this machine allows, which addresses are free, and Slurm's files; sourced by cluster.sh.

# Ports of a cluster: PORT+1 slurmctld, +2 slurmdbd, +100 the slurmd of every namespace, +100+I slurmd I in plain mode
PORTS_PER_CLUSTER=200
FIRST_PORT=20000                                # 60 slots of 200 end below the kernel's ephemeral ports (32768)
SLOTS=60
CONTROLLERS=(freezer memory cpuacct)            # what Slurm's cgroup/v1 plugins use: tracking, limits, accounting

# ---------------------------------------------------------------- what the machine allows
choose_mode() {
    local why
    if [ "$MODE" != plain ]; then
        if why=$(can_isolate 2>&1); then MODE=netns
        elif [ "$MODE" = netns ]; then
            die "this machine gives no namespaces with a network ($why): run as root, or with ASTROHPC_CLUSTER_MODE=plain"
        else
            MODE=plain
            say "  no namespaces here ($why): the nodes share this machine's name, network and /tmp"
        fi
    fi
    if [ "$CGROUP" != 0 ]; then
        if [ "$MODE" = netns ] && can_cgroup; then CGROUP=1
        elif [ "$CGROUP" = 1 ]; then
            die "memory limits by cgroup need netns mode and writable cgroup v1 hierarchies (${CONTROLLERS[*]}): leave ASTROHPC_CLUSTER_CGROUP unset"
        else
            CGROUP=0
            say "  no cgroup v1 for the nodes: memory limits are enforced by polling every 2 s"
        fi
    fi
}
can_isolate() {                     # tries exactly what a node needs
    [ "$(id -u)" = 0 ] || { echo "not root"; return 1; }
    unshare --net --uts --ipc --mount --pid --fork --kill-child --mount-proc sh -c '
        ip link add probe type bridge && ip link add left type veth peer name right &&
        mount -t tmpfs probe /dev/shm && hostname probe'
}
can_cgroup() {
    local controller
    for controller in "${CONTROLLERS[@]}"; do
        [ -w "/sys/fs/cgroup/$controller/cgroup.procs" ] || return 1
    done
}

# ---------------------------------------------------------------- addresses
ports_free() {                      # ports_free BASE: nobody listens on a port that a cluster at BASE would use
    local port
    ! awk '$4 == "0A" { print $2 "." }' /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        grep -qF "$(for port in $(($1 + 1)) $(($1 + 2)) $(seq $(($1 + 100)) $(($1 + 100 + NODES))); do printf ':%04X.\n' "$port"; done)"
}
net_free() {                        # net_free NET: no route but the default one leads there
    [ "$MODE" = plain ] || ! ip -4 route show match "$1.1" | grep -v '^default' >/dev/null
}
choose_addresses() {                # as asked for, or as last time, or the first free slot from one made of ROOT
    local k slot port net
    [ -z "${ASKED[PORT]}" ] || ports_free "$PORT" ||
        die "a port between $((PORT + 1)) and $((PORT + 100 + NODES)) is in use: choose another ASTROHPC_CLUSTER_PORT, or leave it unset"
    [ -z "${ASKED[NET]}" ] || net_free "$NET" ||
        die "the network $NET.0/24 is in use on this machine: choose another ASTROHPC_CLUSTER_NET, or leave it unset"
    [ "$PORT" = auto ] || ports_free "$PORT" || PORT=auto
    [ "$NET" = auto ] || net_free "$NET" || NET=auto
    for ((k = 0; k < SLOTS; k++)); do
        slot=$(((CRC + k) % SLOTS)) port=$PORT net=$NET
        [ "$port" != auto ] || port=$((FIRST_PORT + PORTS_PER_CLUSTER * slot))
        [ "$net" != auto ] || net=10.99.$slot
        if ports_free "$port" && net_free "$net"; then PORT=$port NET=$net; return; fi
    done
    die "no free ports and network were found: choose them with ASTROHPC_CLUSTER_PORT and ASTROHPC_CLUSTER_NET"
}

# ---------------------------------------------------------------- Slurm's files
render() {                          # render TEMPLATE FLAG...: keeps %if FLAG ... %else ... %end, replaces @NAME@
    local template=$1; shift
    awk -v flags=" $* " '
        /^%if /  { depth++; skip[depth] = skip[depth - 1] || !index(flags, " " $2 " "); next }
        /^%else/ { skip[depth] = skip[depth - 1] || !skip[depth]; next }
        /^%end/  { depth--; next }
        skip[depth] { next }
        {
            while (match($0, /@[A-Z_]+@/)) {
                name = substr($0, RSTART + 1, RLENGTH - 2)
                if (!(name in ENVIRON)) { print FILENAME ": nobody sets @" name "@" >"/dev/stderr"; exit 1 }
                $0 = substr($0, 1, RSTART - 1) ENVIRON[name] substr($0, RSTART + RLENGTH)
            }
            print
        }' "$HERE/$template"
}
write_config() {
    local i
    mkdir -p "$ROOT"/{etc,log,run,munge,spool,dev,nodes,state}
    chmod 755 "$ROOT/munge"
    if [ ! -s "$ROOT/munge/key" ]; then head -c 128 /dev/urandom >"$ROOT/munge/key"; chmod 400 "$ROOT/munge/key"; fi
    rm -f "$ROOT"/dev/gpu* "$ROOT"/etc/*.conf
    for ((i = 0; i < GPUS; i++)); do ln -s /dev/null "$ROOT/dev/gpu$i"; done
    render_all
    {
        echo "127.0.0.1 localhost"
        echo "$NET.254 $(hostname -s)"
        for ((i = 1; i <= NODES; i++)); do echo "$NET.$i node$i"; done
    } >"$ROOT/etc/hosts"                        # what the namespaces see as /etc/hosts
    save_settings
}
check_config() {                    # an unknown key is fatal to every client: found here, not after a minute of silence
    local said; said=$(timeout 10 scontrol ping 2>&1) || true
    case $said in *fatal*) die "Slurm does not accept $SLURM_CONF (${said//$'\n'/; }): correct $HERE/slurm.conf.in, or remove your change of it" ;; esac
}
render_all() (                      # in a subshell: the exports are the templates' business only
    flags=("$MODE")
    if [ "$ACCOUNTING" = 1 ]; then flags+=(accounting); fi
    if [ "$CGROUP" = 1 ]; then flags+=(cgroup); fi
    if [ "$GPUS" != 0 ]; then flags+=(gpus); fi
    HEAD=127.0.0.1
    if [ "$MODE" = netns ]; then HEAD=$NET.254; fi
    export ROOT NODES CPUS MEM GPUS MAX_ARRAY NET HEAD
    export HOST USER_NAME GRES="" LAST_GPU=$((GPUS - 1)) CTLD_PORT=$((PORT + 1)) DBD_PORT=$((PORT + 2)) \
        NODE_PORT=$((PORT + 100)) FIRST_NODE_PORT=$((PORT + 101)) LAST_NODE_PORT=$((PORT + 100 + NODES))
    HOST=$(hostname -s) USER_NAME=$(id -un)
    if [ "$GPUS" != 0 ]; then
        GRES=Gres=gpu:$GPUS
        render gres.conf.in >"$ROOT/etc/gres.conf"
    fi
    if [ "$CGROUP" = 1 ]; then render cgroup.conf.in >"$ROOT/etc/cgroup.conf"; fi
    if [ "$ACCOUNTING" = 1 ]; then
        (umask 077; render slurmdbd.conf.in >"$ROOT/etc/slurmdbd.conf")        # slurmdbd refuses a readable one
    fi
    render slurm.conf.in "${flags[@]}" >"$ROOT/etc/slurm.conf"
)
