#!/bin/bash
# test.sh [PYTEST ARGUMENTS] - set up, then every check of the house: linters, types, layers, shell, tests.
# The tests start a private Slurm of their own and remove it again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/bootstrap.sh" --test | tail -n 1)
cd "$here/.."
PATH="$(dirname "$python"):$PATH"
export PATH
echo "== lint, types, layers, shell"
hpc/lint.sh
echo "== tests"
python -m pytest --cov --cov-report=term:skip-covered "$@"
