#!/bin/bash
# demo.sh - the main job on a new machine: set up, then run 64 planets on the built-in climate model.
# Can be run again: planets that are done are not run twice.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/bootstrap.sh" | tail -n 1)
cd "$here/.."
echo "== python -m astrohpc.launch sweep sweep=demo site=local $*"
exec "$python" -m astrohpc.launch sweep sweep=demo site=local "$@"
