#!/usr/bin/env bash
# node-init.sh - the birth of a virtual node (netns mode); run by node.sh, not by hand.
#   node-init.sh enter ROOT NODE ADDRESS   joins the node's cgroup, takes namespaces of its own, becomes `unshare`
#   node-init.sh boot  ROOT NODE ADDRESS   is pid 1 in there: private /tmp, network, slurmd
# Environment: SHARED (colon-separated paths that all nodes see), CGROUP (name, or empty), CONTROLLERS.
# bash reads a script while it runs it; everything is in functions so that `git pull` cannot change a living node.
set -euo pipefail

enter() {
    local root=$1 node=$2 namespaces=(--net --uts --ipc --mount --pid) controller folder
    if [ -n "$CGROUP" ]; then
        for controller in $CONTROLLERS; do
            folder=/sys/fs/cgroup/$controller/$CGROUP/$node
            mkdir -p "$folder"
            echo 0 >"$folder/cgroup.procs"                  # 0 is the writer
        done
        namespaces+=(--cgroup)          # what we have just joined is the root of what the node sees
    fi
    exec unshare "${namespaces[@]}" --fork --kill-child=KILL --mount-proc bash "$0" boot "$@"
}

boot() {
    local root=$1 node=$2 address=$3
    hostname "$node"
    private_folder /tmp 4g
    private_folder /dev/shm 1g
    mount --bind "$root/etc/hosts" /etc/hosts
    if [ -n "$CGROUP" ]; then own_cgroups; fi
    ip link set lo up
    wait_for_cable
    ip address add "$address/24" dev eth0
    ip link set eth0 up                 # no default route: a compute node without the Internet
    unset CGROUP CONTROLLERS SHARED
    supervise slurmd -D -N "$node"
}

private_folder() {                      # an empty file system over TARGET, with the shared paths below it shining through
    local target=$1 size=$2 stage=$root/nodes/$node/stage path place
    mkdir -p "$stage"
    mount -t tmpfs -o "mode=1777,size=$size" "$node" "$stage"
    while read -r path; do
        case $path in "$target"/*) ;; *) continue ;; esac
        place=$stage${path#"$target"}
        if [ -d "$path" ]; then mkdir -p "$place"; else mkdir -p "${place%/*}"; touch "$place"; fi
        mount --bind "$path" "$place"
    done < <(tr : '\n' <<<"$SHARED")
    mount --move "$stage" "$target"
}

own_cgroups() {                         # Slurm reads /proc/PID/cgroup and expects these paths below the mount point
    local controller kind names=()
    for controller in $CONTROLLERS; do names+=("$(basename "$(readlink -f "/sys/fs/cgroup/$controller")")"); done
    mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
    for kind in "${names[@]}"; do       # "cpu,cpuacct" where the system mounts them together
        mkdir -p "/sys/fs/cgroup/$kind"
        mount -t cgroup -o "$kind" cgroup "/sys/fs/cgroup/$kind"
    done
    for controller in $CONTROLLERS; do
        for kind in "${names[@]}"; do
            case ,$kind, in *,"$controller",*) [ -e "/sys/fs/cgroup/$controller" ] || ln -s "$kind" "/sys/fs/cgroup/$controller" ;; esac
        done
    done
}

wait_for_cable() {
    local k
    for ((k = 0; k < 200; k++)); do
        if ip link show eth0 &>/dev/null; then return; fi
        sleep 0.05
    done
    echo "node-init: error: no network cable after 10 s" >&2
    exit 1
}

supervise() {                           # restarts slurmd as systemd would; gives up when it cannot live at all
    local began early=0
    while ((early < 3)); do
        began=$SECONDS
        "$@" || true
        if ((SECONDS - began < 5)); then early=$((early + 1)); else early=0; fi
        sleep 1
    done
    echo "node-init: error: slurmd ends within seconds" >&2
    exit 1
}

main() {
    case $1 in
        enter) shift; enter "$@" ;;
        boot) shift; boot "$@" ;;
    esac
}
{ main "$@"; exit; }
