#!/usr/bin/env bash
# The demo's page and figures, and of these the three that the README shows. Runs the demo first where it is owed.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/install.sh
install_into_venv
epa_bench="$VENV/bin/epa-bench"
figures=runs/demo/figures

"$epa_bench" run suites/sweeps/demo.yaml
"$epa_bench" plot margin runs/demo --leaderboards "$figures"
"$epa_bench" plot length runs/demo --leaderboards "$figures"
# Figure 1 of the EPA paper: DPO beside EPA.
"$epa_bench" plot linearity runs/demo --leaderboards "$figures" --arm dpo --arm epa-1-1-2 --seed 1
"$epa_bench" plot training runs/demo --leaderboards "$figures" \
    --metric loss/over_step0 --metric rewards/margins --metric softmax_mass/weak
cp "$figures"/demo.{margins,linearity,training}.svg leaderboards/
"$epa_bench" report runs/demo --out runs/demo/report.html
