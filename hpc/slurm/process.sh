# shellcheck shell=bash
# process.sh - a daemon is a name with a pid file and a log; sourced by cluster.sh.
#
# Three rules keep strangers safe and leave nothing behind:
#   * a pid file holds "PID START", the kernel's start time, so a stale one never names somebody else's process;
#   * every daemon carries $MARK=$ROOT in its environment, so it is found again when its pid file is lost;
#   * only what one of these two proves to be ours is ever signalled.

MARK=ASTROHPC_CLUSTER_OWNED_BY

now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
say()  { printf '%s\n' "$*"; }
die()  { TOLD=1; printf 'cluster: %s\n' "$*" >&2; exit 1; }
# at_exit CODE - a failure that nobody foresaw ends in a sentence, too; never call die in a $(...), whose TOLD is lost
at_exit() {
    [ "$1" = 0 ] || [ "$1" = 130 ] || [ -n "${TOLD:-}" ] ||
        printf 'cluster: stopped by the error above (exit code %s); the logs are in %s, and "%s down" clears up\n' "$1" "${ROOT:-?}/log" "$SELF" >&2
}

# step NAME WHAT - one line of `up`: what happened to NAME, and how long since the line before
step() {
    local now; now=$(now_ms)
    printf '  %-12s %-34s %6d ms\n' "$1" "$2" $((now - ${STEP_MS:-$now}))
    STEP_MS=$now
}

# ---------------------------------------------------------------- one process
stat_field() {                      # stat_field PID I: field I of /proc/PID/stat, counted from the state (0)
    local stat fields
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    read -ra fields <<<"${stat##*) }"           # the command's name, in parentheses, may hold spaces
    echo "${fields[$2]}"
}
start_time() {                      # nothing for a dead one; a zombie is dead: some pid 1s reap slowly
    case $(stat_field "$1" 0) in ''|Z|X) return 1 ;; esac
    stat_field "$1" 19
}
is_frozen() { [ "$(stat_field "$1" 0)" = T ]; }
descendants() {                     # PID and everything below it
    local child children
    echo "$1"
    read -rd '' -a children < <(cat /proc/"$1"/task/*/children 2>/dev/null) || true
    for child in "${children[@]}"; do descendants "$child"; done
}

# ---------------------------------------------------------------- one daemon
pid_file() { echo "$ROOT/run/$1.pid"; }
pid_of() {                          # pid_of NAME: its pid, or failure when it does not live
    local pid start
    { read -r pid start <"$(pid_file "$1")"; } 2>/dev/null || return 1
    [ -n "$start" ] && [ "$(start_time "$pid")" = "$start" ] && echo "$pid"
}
launch() {                          # launch NAME COMMAND...: in a session of its own, with our mark
    local name=$1 file pid recorded; shift
    file=$(pid_file "$name")
    (   # the pid is on disk before the daemon exists: a kill -9 of this script in between loses nobody
        child=$BASHPID
        echo "$child $(start_time "$child")" >"$file"
        cd /                        # not in the caller's folder, which may be deleted
        exec setsid env "$MARK=$ROOT" "$@"
    ) </dev/null >>"$ROOT/log/$name.out" 2>&1 9>&- &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        { read -r recorded _ <"$file"; } 2>/dev/null && [ "$recorded" = "$pid" ] && break
        sleep 0.01
    done
}
# ensure NAME SECONDS ANSWERS START - returns when ANSWERS is true of a living daemon; STARTs it if it is dead.
# A daemon that lives but does not answer may be starting or still shutting down: waiting settles both.
ensure() {
    local name=$1 limit_s=$2 answers=$3 start=$4 did=running starts=0 pid end=$((SECONDS + $2))
    while ((SECONDS < end)); do
        if pid=$(pid_of "$name"); then
            if "$answers" &>/dev/null; then step "$name" "$did"; return; fi
        elif ((starts++ < 3)); then "$start"; did=started
        else break
        fi
        sleep 0.05
    done
    if pid_of "$name" >/dev/null; then did="does not answer after $limit_s s"; else did="dies as soon as it is started"; fi
    die "$name $did ($(last_words "$name")); its log is $(log_of "$name"), and '$SELF down' followed by '$SELF up' gives it a clean start"
}
log_of() {                          # Slurm's own log where there is one, else what the daemon said on its terminal
    local log=$ROOT/log/$1.log
    [ -s "$log" ] || log=$ROOT/log/$1.out
    echo "$log"
}
last_words() {                      # not those about state files, which are missing at every first start
    local words
    words=$(grep -aiE 'error|fatal|cannot|failed' "$(log_of "$1")" 2>/dev/null | grep -aviE 'state (save )?file' | tail -n 1 | cut -c 1-300) || true
    echo "${words:-it left no error message}"
}
stop() {                            # stop NAME SECONDS: ask, then insist; a frozen one must be thawed to hear us
    local pid end=$((SECONDS + $2))
    if pid=$(pid_of "$1"); then
        kill -TERM "$pid" 2>/dev/null || true
        kill -CONT "$pid" 2>/dev/null || true
        while pid_of "$1" >/dev/null && ((SECONDS < end)); do sleep 0.05; done
        ! pid_of "$1" >/dev/null || kill_daemon "$1"
    fi
    rm -f "$(pid_file "$1")"
}
kill_daemon() {                     # SIGKILL, and wait until the kernel has taken it away
    local pid k
    if pid=$(pid_of "$1"); then
        kill -KILL "$pid" 2>/dev/null || true
        for ((k = 0; k < 100; k++)); do pid_of "$1" >/dev/null || break; sleep 0.05; done
    fi
    rm -f "$(pid_file "$1")"
}
any_alive() {
    local file name
    for file in "$ROOT"/run/*.pid; do
        name=${file##*/}
        if pid_of "${name%.pid}" >/dev/null; then return 0; fi
    done
    return 1
}

# ---------------------------------------------------------------- everything of ours
marked() { grep -lzxF -e "$MARK=$ROOT" /proc/[0-9]*/environ 2>/dev/null; }
# strays [NODE]: pids with our mark, and the tasks of our jobs. A task has its user's environment, not ours, but
# Slurm put SLURM_CONF and SLURMD_NODENAME there; a person's own salloc shell has no SLURMD_NODENAME and is spared.
strays() {
    local node=${1:-}
    {
        marked | if [ -n "$node" ]; then xargs -r grep -lzxF -e "$MARK_NODE=$node"; else cat; fi
        grep -lzxF -e "SLURM_CONF=$SLURM_CONF" /proc/[0-9]*/environ |
            xargs -r grep -lz -e "^SLURMD_NODENAME=${node:+$node\$}"
    } 2>/dev/null | cut -d/ -f3 | sort -un || true
}
thaw() {                            # daemons that somebody froze; a suspended job is Slurm's business
    local pid count=0
    for pid in $(marked | cut -d/ -f3); do
        if is_frozen "$pid"; then kill -CONT "$pid" 2>/dev/null && count=$((count + 1)); fi
    done
    [ "$count" = 0 ] || step frozen "$count processes thawed"
}
kill_strays() {                     # kill_strays [NODE]: repeated, because a dying daemon may have been forking
    local k pid pids
    for ((k = 0; k < 100; k++)); do
        pids=$(for pid in $(strays "$@"); do start_time "$pid" >/dev/null && descendants "$pid"; done | sort -un || true)
        [ -n "$pids" ] || return 0
        # shellcheck disable=SC2086  # a list of numbers
        kill -KILL $pids 2>/dev/null || true
        sleep 0.05
    done
    die "these processes of the cluster survive SIGKILL, probably in a hung system call: $(echo "$pids" | tr '\n' ' ')- look at them with ps"
}
MARK_NODE=ASTROHPC_CLUSTER_NODE     # which virtual node a marked process belongs to
