#!/usr/bin/env bash
# The main job: installs into .venv, runs the embedded sweep, prints the margin table. Run again, it does only what is
# owed. Further arguments go to `epa-bench run`, e.g. --set name=mine --set 'seeds=[1, 2, 3, 4, 5]'.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/install.sh
install_into_venv
exec "$VENV/bin/epa-bench" run suites/sweeps/demo.yaml "$@"
