#!/bin/bash
# bootstrap.sh [--exoplasim | --train [--nccl] | --test] - make a machine ready: an environment with astrohpc
# in it; with --exoplasim that model and the compiler that builds it as well; with --train torch and Horovod
# (hpc/horovod.sh; --nccl: for NVIDIA GPUs); with --test all of these and what the tests need besides (Slurm,
# OpenMPI and shellcheck from Debian). Can be run again; it then takes a few seconds.
# Prints the path of the environment's python as its last line; all else goes to stderr.
#
# The environment is $VIRTUAL_ENV if one is active, else .venv in the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf 'bootstrap: %s\n' "$*" >&2; }
die() { say "ERROR: $*"; exit 1; }

# shellcheck source-path=SCRIPTDIR source=apt.sh
. hpc/apt.sh

newest_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            command -v "$name"
            return
        fi
    done
    return 1
}

environment=${VIRTUAL_ENV:-$PWD/.venv}
python=$environment/bin/python
if [ ! -x "$python" ]; then
    found=$(newest_python) || { apt_install Python python3 && found=$(newest_python); } ||
        die "no Python of 3.11 or newer; install one, or load a module that has it"
    say "making an environment in $environment with $("$found" --version)"
    if ! "$found" -m venv "$environment" >&2; then # Debian's python3 has venv in a package of its own
        apt_install Python python3-venv || die "$found cannot make environments; install python3-venv"
        "$found" -m venv --clear "$environment" >&2
    fi
fi

case ${1:-} in
    '') extras='' ;;
    --exoplasim) extras='[exoplasim]' ;;
    --train) extras='[train]' ;;
    --test) extras='[test]' ;;
    *) die "unknown option $1; use --exoplasim, --train, --test or none" ;;
esac
lock=()
# The lock is what CI has tested; a newer Python takes the newest packages that suit it.
if "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then lock=(-c requirements.lock); fi
stamp=$environment/.astrohpc-$(cat setup.cfg pyproject.toml requirements.lock | sha256sum | cut -c1-16)
if [ ! -e "${stamp}[test]" ] && [ ! -e "$stamp$extras" ]; then
    say "installing astrohpc$extras and what it needs (a minute on a new machine)"
    "$python" -m pip install --quiet --disable-pip-version-check "${lock[@]}" -e ".$extras" >&2 ||
        die "pip failed; its message is above. Run this again when the cause is mended"
    touch "$stamp$extras"
fi

if [ "${1:-}" = --exoplasim ] || [ "${1:-}" = --test ]; then
    apt_install ExoPlaSim gfortran gcc make || say "no root: ExoPlaSim cannot be compiled; install gfortran"
fi

if [ "${1:-}" = --test ]; then
    apt_install "shell checks" shellcheck || say "no root: tests that need shellcheck will fail; install it"
    hpc/slurm/cluster.sh install >&2 || say "no root: tests on the private Slurm will be skipped"
fi
if [ "${1:-}" = --train ]; then
    VIRTUAL_ENV=$environment hpc/horovod.sh ${2:+"$2"} >&2 || die "Horovod is not there, for the reason above; ddp and fsdp train without it"
elif [ "${1:-}" = --test ]; then
    VIRTUAL_ENV=$environment hpc/horovod.sh >&2 || say "no Horovod, for the reason above: its tests will be skipped"
fi
say "ready: $("$python" --version), $environment"
echo "$python"
