#!/bin/bash
# Every static check of the house: ruff, mypy --strict, import-linter, shellcheck of our own scripts.
#
# The top-level folders become one package only through setup.cfg's package_dir, which type checkers
# and import-linter do not read; they are shown the same package as a tree of links.
set -euo pipefail
cd "$(dirname "$0")/.."
tree=build/tree/astrohpc
rm -rf build/tree && mkdir -p "$tree"
ln -s "$PWD"/src/astrohpc/* "$PWD"/{jobs,kernels,configs,sbatch_templates} "$tree/"

ruff check .
ruff format --check .
mypy
PYTHONPATH=build/tree lint-imports --no-cache
git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck
