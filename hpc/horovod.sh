#!/bin/bash
# horovod.sh [--nccl] - Horovod 0.28.1 in the active environment ($VIRTUAL_ENV, else .venv of the repository), built
# from its sources for the torch that is there: with Gloo, with MPI where there is one (mpicxx), and with --nccl for
# NVIDIA GPUs. Can be run again; what works is left alone.
#
# pip alone cannot build it: Horovod wants C++14 and torch C++17 (horovod-cxx17.cmake mends that, without a patch),
# and pip's cache does not know for which torch a wheel was made. So the wheel is kept in
# ${ASTROHPC_CACHE:-${XDG_CACHE_HOME:-~/.cache}/astrohpc}/wheels, in a folder that names what it is for.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
version=0.28.1
say() { printf 'horovod: %s\n' "$*" >&2; }
die() { say "ERROR: $*"; exit 1; }
# shellcheck source-path=SCRIPTDIR source=apt.sh
. "$here/apt.sh"

nccl=''
case ${1:-} in
    '') ;;
    --nccl) nccl=yes ;;
    *) die "unknown option $1; use --nccl or none" ;;
esac
environment=${VIRTUAL_ENV:-$here/../.venv}
python=$environment/bin/python
[ -x "$python" ] || die "no environment in $environment; run hpc/bootstrap.sh first, or activate one"
facts=$("$python" -c 'import importlib.util, runpy, sys
torch = runpy.run_path(importlib.util.find_spec("torch").submodule_search_locations[0] + "/version.py")
print(torch["__version__"], torch["cuda"] or "none", "cp%d%d" % sys.version_info[:2])' 2>/dev/null) ||
    die "torch is not in $environment; install astrohpc[train] there first"
read -r torch cuda tag <<<"$facts"
[ -z "$nccl" ] || [ "$cuda" != none ] ||
    die "--nccl: torch $torch here has no CUDA; install one that has, for Horovod must be built with the torch that will run"

if [ -z "$nccl" ]; then
    apt_install Horovod cmake g++ make libopenmpi-dev openmpi-bin || say "no root: using the compiler, cmake and MPI that are there"
fi
mpi='' # of one MPI, for the wheel needs the very library it was built with
if command -v mpicxx >/dev/null && command -v mpirun >/dev/null; then
    mpi=$(mpirun --version 2>/dev/null | sed -n 1p | tr -cs 'A-Za-z0-9.\n' -)
fi
works() { # an installed Horovod that was built for this torch, with what is asked for
    "$python" -W error::UserWarning - "${mpi:+mpi}" "${nccl:+nccl}" 2>/dev/null <<'PY'
import sys
import horovod.torch as hvd
_, mpi, nccl = sys.argv
sys.exit(not (hvd.gloo_built() and (not mpi or hvd.mpi_built()) and (not nccl or hvd.nccl_built())))
PY
}
built="Gloo${mpi:+, MPI ($mpi)}${nccl:+, NCCL (CUDA $cuda)}"
if works; then
    say "ready: $version for torch $torch, with $built"
    exit
fi

key=horovod-$version-torch$torch-$tag-$(uname -m)-${mpi:-nompi}-${nccl:+cuda$cuda}
kept=${ASTROHPC_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/astrohpc}/wheels/${key%-}
find_wheel() { find "$kept" -name 'horovod-*.whl' 2>/dev/null | head -n 1; }
if [ -z "$(find_wheel)" ]; then
    for tool in cmake g++ make; do
        command -v "$tool" >/dev/null || die "no $tool; install it, or load a module that has it, and run this again"
    done
    "$python" -m pip install --quiet --disable-pip-version-check setuptools wheel packaging >&2
    jobs=$(nproc) room=$(awk '/MemAvailable/ {print int($2 / 3e6)}' /proc/meminfo) # a compiler takes up to 2.4 GB
    [ "$room" -ge "$jobs" ] || jobs=$((room > 1 ? room : 1))
    export MAKEFLAGS=${MAKEFLAGS:--j$jobs}
    export CMAKE_TOOLCHAIN_FILE=$here/horovod-cxx17.cmake
    export CMAKE_POLICY_VERSION_MINIMUM=3.5 # CMake 4 refuses the Gloo that comes with it
    export CXXFLAGS="-include cstdint"      # g++ 13 and newer no longer include it by themselves
    export HOROVOD_WITH_PYTORCH=1 HOROVOD_WITHOUT_TENSORFLOW=1 HOROVOD_WITHOUT_MXNET=1 HOROVOD_WITHOUT_NVTX=1
    export HOROVOD_WITH_GLOO=1
    if [ -n "$mpi" ]; then export HOROVOD_WITH_MPI=1; else export HOROVOD_WITHOUT_MPI=1; fi
    # What it picks by itself on x86, so that the wheel does not depend on the machine that builds it.
    [ "$(uname -m)" != x86_64 ] || export HOROVOD_BUILD_ARCH_FLAGS="-mf16c -mavx -mfma"
    mkdir -p "$kept"
    work=$(mktemp -d "$kept/.building.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    if [ -n "$nccl" ]; then
        : "${CUDA_HOME:=$(dirname "$(dirname "$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)")")}"
        [ -x "$CUDA_HOME/bin/nvcc" ] || die "--nccl: no nvcc; load CUDA $cuda, or set CUDA_HOME"
        packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/nvidia/nccl
        [ -e "$packages/lib/libnccl.so.2" ] || die "--nccl: torch's NCCL is not in $packages; install torch by pip"
        mkdir "$work/nccl" && ln -s "$packages/lib/libnccl.so.2" "$work/nccl/libnccl.so" # pip's has no libnccl.so
        export CUDA_HOME HOROVOD_CUDA_HOME=$CUDA_HOME HOROVOD_GPU=CUDA HOROVOD_GPU_OPERATIONS=NCCL
        export HOROVOD_NCCL_INCLUDE=$packages/include HOROVOD_NCCL_LIB=$work/nccl
        export HOROVOD_NCCL_LINK=SHARED # torch's own; a static one would be a second copy in the process
        export HOROVOD_BUILD_CUDA_CC_LIST=${HOROVOD_BUILD_CUDA_CC_LIST:-80,90} # A100, H100
    fi
    say "building $version for torch $torch with $built: about 4 minutes of CPU time, make $MAKEFLAGS; once, then $kept has it"
    log=$kept/build.log
    "$python" -m pip wheel -v --disable-pip-version-check --no-cache-dir --no-deps --no-build-isolation \
        --no-binary horovod "horovod==$version" -w "$work" >"$log" 2>&1 || {
        grep -n -m 5 -E 'error:|Error |CMake Error' "$log" >&2 || tail -n 20 "$log" >&2
        die "the build failed; all of its words are in $log"
    }
    mv "$work"/horovod-*.whl "$kept/" # a wheel in the folder is a whole one
fi
say "installing $(find_wheel)"
"$python" -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$(find_wheel)" >&2
"$python" -m pip install --quiet --disable-pip-version-check cloudpickle psutil pyyaml packaging >&2 # all it needs
works || die "it is installed but does not work with $built: $("$python" -c 'import horovod.torch' 2>&1 | tail -n 1)"
say "ready: $version for torch $torch, with $built"
