# shellcheck shell=bash
# settings.sh - where the cluster lives and what was asked of it; sourced by cluster.sh.
#
# A setting comes from ASTROHPC_CLUSTER_<NAME>, else from what the cluster at $ROOT was last started with, else from
# the default. It is fixed while a daemon lives; `down` forgets it. Every verb but `up` uses what was saved.

declare -A DEFAULT=([NODES]=4 [CPUS]=8 [MEM]=8000 [GPUS]=4 [MAX_ARRAY]=1001 [ACCOUNTING]=1
                    [MODE]=auto [CGROUP]=auto [PORT]=auto [NET]=auto [SHARED]="")
declare -A RANGE=([NODES]="1 99" [CPUS]="1 512" [MEM]="64 16000000" [GPUS]="0 16" [MAX_ARRAY]="2 4000001"
                  [ACCOUNTING]="0 1" [PORT]="1024 65300")
declare -A ASKED=() SAVED=()
STAMP=.astrohpc-cluster             # lies in every folder that is ours; --wipe deletes no other

# ---------------------------------------------------------------- the folder
find_root() {                       # sets ROOT, SLURM_CONF, CRC and TAG
    ROOT=$(readlink -m -- "${ASTROHPC_CLUSTER_ROOT:-/var/tmp/astrohpc-cluster-$(id -u)}")
    [[ $ROOT =~ ^(/[A-Za-z0-9._+-]+){2,}$ ]] ||
        die "ASTROHPC_CLUSTER_ROOT='$ROOT' must lie below a top folder and be made of letters, digits and . _ + - only, because Slurm's files cannot quote others: choose another"
    ((${#ROOT} <= 80)) ||
        die "ASTROHPC_CLUSTER_ROOT='$ROOT' is longer than 80 characters, and Unix sockets in it would pass the kernel's limit: choose a shorter one"
    export SLURM_CONF=$ROOT/etc/slurm.conf
    CRC=$(cksum <<<"$ROOT"); CRC=${CRC%% *}
    # shellcheck disable=SC2034  # node.sh uses it
    TAG=$(printf %08x "$CRC")       # names the bridge, cables and cgroups of this cluster, and of no other
}
claim_root() {                      # create the folder, or prove that it is ours
    local content free_mb
    content=$(ls -A "$ROOT" 2>/dev/null) || true        # before looking for the stamp, which is always the first file
    if [ -e "$ROOT" ] && [ ! -d "$ROOT" ] || [ -n "$content" ] && [ ! -e "$ROOT/$STAMP" ]; then
        die "$ROOT is there already and no cluster made it: choose another folder with ASTROHPC_CLUSTER_ROOT"
    fi
    { mkdir -p "$ROOT" && [ -w "$ROOT" ] && : >"$ROOT/$STAMP"; } 2>/dev/null ||
        die "$(id -un) cannot write in $ROOT: choose another folder with ASTROHPC_CLUSTER_ROOT"
    require_owner
    free_mb=$(df -Pm "$ROOT" | awk 'NR == 2 { print $4 }')
    ((free_mb >= 400)) ||
        die "$ROOT has $free_mb MB free and the cluster needs 400: make room, or choose another folder with ASTROHPC_CLUSTER_ROOT"
    chmod 755 "$ROOT"
}
require_owner() {
    [ ! -e "$ROOT" ] || [ -O "$ROOT" ] ||
        die "$ROOT belongs to $(stat -c %U "$ROOT"): run as that user, or choose another folder with ASTROHPC_CLUSTER_ROOT"
}
wipe_root() {                       # the stamp goes last: until then the folder is known as ours
    [ -e "$ROOT/$STAMP" ] || { say "$ROOT was not made by a cluster: left as it is"; return 0; }
    find "$ROOT" -xdev -mindepth 1 -maxdepth 1 ! -name "$STAMP" ! -name lock -exec rm -rf --one-file-system {} +
    rm -f "$ROOT/lock" "$ROOT/$STAMP"
    rmdir "$ROOT" 2>/dev/null || true
}
# lock [PREPARE] - one up, down or node operation at a time. The lock lies in the folder that --wipe deletes, so
# after waiting for it we look whether it is still the file at that path: else we would hold a lock on nothing.
lock() {
    local file=$ROOT/lock
    while :; do
        "${1:-true}"
        [ -d "$ROOT" ] || return 0              # wiped meanwhile: nothing is left to guard
        { exec 9>>"$file"; } 2>/dev/null || die "$(id -un) cannot write $file: run as $(stat -c %U "$ROOT")"
        if ! flock -n 9; then
            say "waiting for another ${SELF##*/} at $ROOT"
            flock -w 300 9 || die "another ${SELF##*/} has held $file for 300 s: find it with 'fuser $file'"
        fi
        [ "$(stat -Lc %i /proc/self/fd/9)" != "$(stat -c %i "$file" 2>/dev/null)" ] || return 0
    done
}

# ---------------------------------------------------------------- the settings
read_saved() {                      # read, never sourced: the file may be another user's
    local key value
    [ -s "$ROOT/etc/settings" ] || return 1
    while IFS='=' read -r key value; do
        [ -z "${DEFAULT[$key]+known}" ] || SAVED[$key]=$value
    done <"$ROOT/etc/settings"
}
recall_settings() {                 # for every verb but `up`
    local name
    read_saved || die "there is no cluster at $ROOT: start it with '$SELF up'"
    for name in "${!DEFAULT[@]}"; do printf -v "$name" %s "${SAVED[$name]-}"; done
}
decide_settings() {                 # for `up`; fills NODES, CPUS, MEM, ...
    local name variable
    read_saved || true
    for name in "${!DEFAULT[@]}"; do
        variable=ASTROHPC_CLUSTER_$name
        ASKED[$name]=${!variable-}
        check_setting "$name" "${ASKED[$name]}"
        [ "${ASKED[$name]}" != auto ] || ASKED[$name]=""
        printf -v "$name" %s "${ASKED[$name]:-${SAVED[$name]:-${DEFAULT[$name]}}}"
    done
    SHARED=$({ tr : '\n' <<<"${SAVED[SHARED]-}"; wanted_paths; } | awk 'NF && !seen[$0]++' | paste -sd :)
}
check_setting() {                   # check_setting NAME VALUE; an empty value is an unset one
    local name=$1 value=$2 low high path
    case $name:$value in
        *: | MODE:auto | MODE:netns | MODE:plain | CGROUP:auto | CGROUP:0 | CGROUP:1 | PORT:auto | NET:auto) return 0 ;;
        MODE:*) die "ASTROHPC_CLUSTER_MODE='$value' must be auto, netns or plain" ;;
        CGROUP:*) die "ASTROHPC_CLUSTER_CGROUP='$value' must be auto, 0 or 1" ;;
        NET:*) [[ $value =~ ^[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}$ ]] ||
            die "ASTROHPC_CLUSTER_NET='$value' must be the first three numbers of a private network, such as 10.99.7" ;;
        SHARED:*) while read -r path; do
                [ -z "$path" ] || [ -e "$path" ] || die "ASTROHPC_CLUSTER_SHARED names '$path', which does not exist: create it first (colons separate paths)"
            done < <(tr : '\n' <<<"$value") ;;
        *) read -r low high <<<"${RANGE[$name]}"
            if [[ $value =~ ^(0|[1-9][0-9]{0,7})$ ]] && ((value >= low && value <= high)); then return; fi
            die "ASTROHPC_CLUSTER_$name='$value' must be a whole number from $low to $high" ;;
    esac
}
save_settings() {
    local name
    for name in "${!DEFAULT[@]}"; do echo "$name=${!name}"; done | sort >"$ROOT/etc/settings"
}
wanted_paths() {                    # what every node must see: repository, our state, virtual environment, your paths
    local path
    { readlink -f "$HERE/../.."; echo "$ROOT"; echo "${VIRTUAL_ENV:-}"; tr : '\n' <<<"${ASKED[SHARED]-}"; } |
        while read -r path; do
            [ -z "$path" ] || [ ! -e "$path" ] || { realpath -s -- "$path"; realpath -- "$path"; }
        done
}
refuse_changes() {                  # a living cluster keeps its settings
    local name path
    for name in "${!DEFAULT[@]}"; do
        if [ "$name" = SHARED ] || [ -z "${ASKED[$name]}" ] || [ "${ASKED[$name]}" = "${SAVED[$name]-}" ]; then continue; fi
        die "the cluster at $ROOT runs with $name=${SAVED[$name]-} and ${ASKED[$name]} is asked for: run '$SELF down' first, or choose another ASTROHPC_CLUSTER_ROOT"
    done
    [ "$MODE" = netns ] || return 0
    while read -r path; do
        case $path in
            /tmp/* | /dev/shm/*) is_shared "$path" ||
                die "$path is not seen by the running nodes, whose /tmp and /dev/shm are their own: run '$SELF down' and 'up' again" ;;
        esac
    done < <(wanted_paths)
}
is_shared() {                       # does PATH lie in one that the running nodes share?
    local shared
    while read -r shared; do
        case $1/ in "${shared:-none}"/*) return 0 ;; esac
    done < <(tr : '\n' <<<"${SAVED[SHARED]-}")
    return 1
}
