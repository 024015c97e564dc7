# shellcheck shell=bash
# daemons.sh - the head of the cluster: munged, mariadbd, slurmdbd, slurmctld, and what the accounting must know.
# Sourced by cluster.sh. Each daemon is a question (X_answers) and a start (start_X), joined by ensure.

# ---------------------------------------------------------------- munged: who is who
munged_answers() { munge -S "$ROOT/munge/socket" -n | unmunge -S "$ROOT/munge/socket"; }
start_munged() {
    rm -f "$ROOT"/munge/socket*
    # --force: it may lie below a folder that others can write, such as /tmp
    launch munged munged --force --foreground --num-threads=10 --socket="$ROOT/munge/socket" \
        --key-file="$ROOT/munge/key" --seed-file="$ROOT/munge/seed" --pid-file="$ROOT/run/munged.own" \
        --log-file="$ROOT/log/munged.log"
}

# ---------------------------------------------------------------- mariadbd: reached by the folder's owner only
MARIADB=(--no-defaults --innodb-log-file-size=16M --debug-no-sync)      # a crash of the machine may cost the test data
mariadbd_answers() { mariadb-admin --no-defaults --socket="$ROOT/mysql/socket" ping; }
start_mariadbd() {
    # a folder for temporary tables: every MariaDB that starts deletes those of all others that use /tmp
    mkdir -p "$ROOT/mysql/tmp"
    chmod 700 "$ROOT/mysql"
    if [ ! -e "$ROOT/mysql/complete" ]; then    # an interrupted installation starts over
        rm -rf "$ROOT/mysql/data"
        env "$MARK=$ROOT" TMPDIR="$ROOT/mysql/tmp" mariadb-install-db "${MARIADB[@]}" --user="$(id -un)" --datadir="$ROOT/mysql/data" \
            --skip-test-db --skip-name-resolve --auth-root-authentication-method=normal \
            >"$ROOT/log/mariadb-install.log" 2>&1 ||
            die "the database could not be created: see $ROOT/log/mariadb-install.log, or run without accounting (ASTROHPC_CLUSTER_ACCOUNTING=0)"
        : >"$ROOT/mysql/complete"
    fi
    launch mariadbd mariadbd "${MARIADB[@]}" --user="$(id -un)" --datadir="$ROOT/mysql/data" --tmpdir="$ROOT/mysql/tmp" \
        --socket="$ROOT/mysql/socket" --pid-file="$ROOT/mysql/pid" --skip-networking --skip-grant-tables --skip-log-bin \
        --innodb-buffer-pool-size=128M --innodb-flush-log-at-trx-commit=0 --innodb-lock-wait-timeout=900 \
        --performance-schema=OFF --bind-address=127.0.0.1
}

# ---------------------------------------------------------------- slurmdbd
accounts() { timeout 60 sacctmgr --immediate --quiet --noheader --parsable2 "$@"; }
slurmdbd_answers() {                # sacctmgr exits 0 when it cannot connect, and waits long: the port first, then stderr
    (exec 3<>"/dev/tcp/127.0.0.1/$((PORT + 2))") && [ -z "$(accounts list cluster 2>&1 >/dev/null)" ]
}
start_slurmdbd() { launch slurmdbd env MYSQL_UNIX_PORT="$ROOT/mysql/socket" slurmdbd -D; }

# The cluster, account `astro` for whoever calls (and whoever called sudo), and QOS `capped`: 50 jobs of a user in the
# queue and no more. All in one sacctmgr: each of its messages waits 90 ms in TCP, 3 s in all with one for each line.
ensure_accounts() {
    local user did=known users answer
    users=$(printf '%s\n' "$(id -un)" ${SUDO_USER:+"$SUDO_USER"} | sort -u)
    if [ "$(cat "$ROOT/mysql/accounts" 2>/dev/null)" != "$users" ]; then
        did=created
        answer=$(accounts 2>&1 < <(
            echo "add cluster astrohpc"
            echo "add qos capped MaxSubmitJobsPerUser=50"
            echo "add account astro cluster=astrohpc Description=tests Organization=astrohpc qos=normal,capped defaultqos=normal"
            for user in $users; do echo "add user $user cluster=astrohpc account=astro DefaultAccount=astro"; done
            echo "show associations cluster=astrohpc account=astro format=account,user,defaultqos,qos"
        )) || true
        echo "$answer" >>"$ROOT/log/accounts.log"
        for user in $users; do
            grep -x "astro|$user|normal|capped,normal" >/dev/null <<<"$answer" ||
                die "$user was not given the account astro: see $ROOT/log/accounts.log and slurmdbd.log there; '$SELF down --wipe' and 'up' start with an empty database"
        done
        echo "$users" >"$ROOT/mysql/accounts"
    fi
    step "accounts" "$did"
}

# ---------------------------------------------------------------- slurmctld
slurmctld_answers() { [[ $(timeout 5 scontrol ping) == *"is UP"* ]]; }
start_slurmctld() { launch slurmctld slurmctld -D; }

# ---------------------------------------------------------------- all of them
up_head() {
    ensure munged 15 munged_answers start_munged
    pid_of slurmctld >/dev/null || check_config
    if [ "$ACCOUNTING" = 1 ]; then
        ensure mariadbd 60 mariadbd_answers start_mariadbd
        ensure slurmdbd 60 slurmdbd_answers start_slurmdbd
        ensure_accounts
    fi
    ensure slurmctld 60 slurmctld_answers start_slurmctld
}
head_daemons() {
    echo munged
    if [ "$ACCOUNTING" = 1 ]; then echo mariadbd; echo slurmdbd; fi
    echo slurmctld
}
cancel_jobs() {                     # so that the accounting knows their end, and the next `up` does not revive them
    local end=$((SECONDS + 15))
    pid_of slurmctld >/dev/null || return 0
    timeout 10 scancel --quiet --state=PENDING || true
    timeout 10 scancel --quiet --state=RUNNING || true
    timeout 10 scancel --quiet --state=SUSPENDED || true
    while ((SECONDS < end)) && [ -n "$(timeout 5 squeue -h 2>/dev/null)" ]; do sleep 0.1; done
}
