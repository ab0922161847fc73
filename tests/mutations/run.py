"""Plants every fault in a scratch copy and asks the regression sweep and a selection of tests: who saw it?

    python -m tests.mutations.run --out leaderboards/mutations.md

Each fault has a copy of the checkout of its own. The sweep goes on from the store of an unbroken run, so that only what
the broken code decides is computed. Either stops at what catches it first: golden values before trainings are asked.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from epa_bench.core.files import atomic_write_text
from epa_bench.leaderboard.markdown import escape
from tests.mutations.faults import FAULTS, Fault

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Caught:
    """What the two kinds of check said of a fault; None where it went unseen."""

    fault: Fault
    sweep: str | None
    tests: str | None


def main() -> None:
    """Writes the table. Exits with 1 where a fault went unseen by both, or the unbroken checkout fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="Markdown to write.")
    parser.add_argument("--only", help="Only faults whose name holds this.")
    parser.add_argument("--jobs", type=int, default=1, help="Faults at a time.")
    arguments = parser.parse_args()
    faults = [fault for fault in FAULTS if (arguments.only or "") in fault.name]
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        unbroken = Path(folder) / "unbroken"
        copy_checkout(unbroken)
        found = by_sweep(unbroken) or by_tests(unbroken, sorted({test for fault in faults for test in fault.tests}))
        if found is not None:
            sys.exit(f"the unbroken checkout fails already: {found}")
        caught: list[Caught] = []
        copies = [Path(folder) / f"fault-{number}" for number in range(len(faults))]
        with ThreadPoolExecutor(arguments.jobs) as pool:
            for found_of_fault in pool.map(examine, faults, copies, [unbroken] * len(faults)):
                caught.append(found_of_fault)
                atomic_write_text(arguments.out, table(caught))
    if any(each.sweep is None and each.tests is None for each in caught):
        sys.exit(1)


def examine(fault: Fault, copy: Path, unbroken: Path) -> Caught:
    """Plants one fault and asks both."""
    start = time.monotonic()
    copy_checkout(copy)
    fault.plant(copy)
    shutil.copytree(unbroken / "runs", copy / "runs")
    caught = Caught(fault, by_sweep(copy), by_tests(copy, fault.tests))
    shutil.rmtree(copy)
    print(f"{fault.name}: {caught.sweep} | {caught.tests} ({time.monotonic() - start:.0f} s)", flush=True)
    return caught


def copy_checkout(copy: Path) -> None:
    """What git tracks or would track, as it is now."""
    listed = ("ls-files", "--cached", "--others", "--exclude-standard", "-z")
    names = subprocess.run(["git", *listed], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)


def by_sweep(copy: Path) -> str | None:
    """How the sweep or its gate fails; None where both pass."""
    policy = copy / "suites" / "gates" / "ci.yaml"
    # Golden values need no training, so they are asked first, and alone.
    golden = copy / "golden.yaml"
    golden.write_text("golden:" + policy.read_text().partition("\ngolden:")[2])
    alone = ("--set", "suites={golden: {}}", "--set", "execution.workers=1")
    return _run_and_gate(copy, golden, *alone) or _run_and_gate(copy, policy)


def _run_and_gate(copy: Path, policy: Path, *options: str) -> str | None:
    ran = _python(copy, "-m", "epa_bench", "run", "ci", "--set", "output.leaderboards=runs/leaderboards", *options)
    if ran.returncode != 0:
        return f"run fails, exit {ran.returncode}: {_reason(ran.stderr)}"
    gate = ("gate", str(policy), "--baseline", "suites/gates/ci.baseline.jsonl", "--candidate", "runs/ci")
    gated = _python(copy, "-m", "epa_bench", *gate, "--json", "-")
    if gated.returncode > 2:
        return f"gate fails, exit {gated.returncode}: {_reason(gated.stderr)}"
    report = json.loads(gated.stdout)
    if report["verdict"] == "PASS":
        return None
    golden = [
        f"golden {result['golden']['metric']}" + {"score": ""}.get(of := result["golden"]["of"], f" ({of})")
        for result in report["golden"]
        if result["verdict"] != "PASS"
    ]
    checks = [
        f"{result['check']['suite']} {result['check']['metric']} of {result['check']['arm']} {result['verdict']}"
        for result in report["checks"]
        if result["verdict"] != "PASS"
    ]
    return ", ".join(dict.fromkeys(golden + checks))


def by_tests(copy: Path, tests: "list[str] | tuple[str, ...]") -> str | None:
    """The first test that fails. Raises RuntimeError where pytest did not get as far as running them."""
    done = _python(copy, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests)
    failed = re.search(r"^(?:FAILED|ERROR) ([^\s\[]+)", done.stdout, re.MULTILINE)
    if done.returncode not in (0, 1) or (done.returncode == 1) != (failed is not None):
        raise RuntimeError(f"pytest ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return failed[1] if failed else None


def _python(copy: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)


def _reason(stderr: str) -> str:
    """A user's message, or the exception under a traceback, without digits that differ from run to run."""
    lines = [line for line in stderr.splitlines() if re.match(r"(error: |\w+Error: )", line)]
    return lines[-1].removeprefix("error: ")[:160] if lines else "no message"


def table(caught: list[Caught]) -> str:
    """Equal findings give equal text."""
    sweep, tests = (sum(getattr(each, kind) is not None for each in caught) for kind in ("sweep", "tests"))
    seen = sum(each.sweep is not None or each.tests is not None for each in caught)
    planted = f"{len(caught)} of {len(FAULTS)}"
    lines = [
        f"| {escape(each.fault.name)} | `{each.fault.file}` | {_cell(each.sweep)} | {_cell(each.tests)} |"
        for each in caught
    ]
    return "\n".join(
        [
            "# Which check catches which fault",
            "",
            "Written by `bash scripts/mutations.sh`: each fault of `tests/mutations/faults.py` is planted in a copy of "
            "the checkout of its own. Sweep: `epa-bench run ci` and its gate, golden values first; trainings are only "
            "asked where no golden value breached. "
            "Tests: the first of a selection that failed; the rest of the suite was not asked.",
            "",
            f"{planted} faults planted: {seen} caught, {sweep} by the sweep, {tests} by the tests.",
            "",
            "| Fault | In `epa_bench/` | Sweep `ci` | First test |",
            "| :--- | :--- | :--- | :--- |",
            *lines,
            "",
        ]
    )


def _cell(found: str | None) -> str:
    return "not seen" if found is None else escape(found)


if __name__ == "__main__":
    main()
