#!/usr/bin/env bash
# Plants faults in copies of this checkout and writes which check caught which: leaderboards/mutations.md. About half an
# hour on two cores. Further arguments, e.g. --only beta.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/install.sh
install_into_venv dev
exec "$VENV/bin/python" -m tests.mutations.run --out leaderboards/mutations.md "$@"
