"""The regression sweep and its gate, as CI runs them."""

import json
from typing import TYPE_CHECKING

from epa_bench.suites.registry import shipped_suites

if TYPE_CHECKING:
    from tests.conftest import Workplace

GATES = shipped_suites() / "gates"


def test_this_checkout_passes_its_gate(workplace: "Workplace") -> None:
    """A BREACH here is a change of what losses, plans, templates, parsers or statistics give."""
    workplace.finish("ci", "--set", "execution.workers=2")
    options = ("--baseline", str(GATES / "ci.baseline.jsonl"), "--candidate", "runs/ci", "--json", "-")
    done = workplace.run("gate", str(GATES / "ci.yaml"), *options)
    report = json.loads(done.stdout)
    wrong = [result for result in report["golden"] + report["checks"] if result["verdict"] != "PASS"]
    assert (done.returncode, wrong) == (0, [])
    assert len(report["golden"]) == 29
    assert len(report["checks"]) == 4
