#!/usr/bin/env bash
# Every check: installs what they need into .venv, then format, lint, import rules, types and tests.
# Further arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/install.sh
install_into_venv dev
install_vllm || true
install_chromium || true
"$VENV/bin/ruff" format --check .
"$VENV/bin/ruff" check .
"$VENV/bin/lint-imports"
"$VENV/bin/mypy"
export OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1
# A file stays with one process: its tests share what is expensive to make.
exec "$VENV/bin/python" -m pytest -n auto --maxprocesses 4 --dist loadfile "$@"
