"""The page on the gate: its policy and its workflow are files that can be copied as they stand."""

import re
import subprocess
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

import epa_bench
from epa_bench.cli import app
from epa_bench.leaderboard.gate_policy import read_policy
from epa_bench.suites.registry import shipped_suites

PAGE = (Path(epa_bench.__file__).parent / "docs" / "ci-gate.md").read_text()
POLICY, WORKFLOW = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def _steps() -> list[dict[str, Any]]:
    workflow = YAML(typ="safe").load(WORKFLOW)
    assert set(workflow["on"]) == {"pull_request", "push"}
    steps: list[dict[str, Any]] = workflow["jobs"]["gate"]["steps"]
    return steps


def test_the_policy_is_part_of_the_one_that_ci_uses(tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_text(POLICY)
    shown = read_policy(tmp_path / "gate.yaml").policy
    ours = read_policy(shipped_suites() / "gates" / "ci.yaml").policy
    assert set(shown.golden) < set(ours.golden)
    assert set(shown.checks) < set(ours.checks)
    assert len(ours.golden) == 29
    assert "with twenty-nine golden values" in PAGE


def test_every_step_of_the_workflow_runs_something() -> None:
    for step in _steps():
        assert ("uses" in step) != ("run" in step)
        if "run" in step:
            subprocess.run(["bash", "-n", "-c", step["run"]], check=True)
    assert all(re.fullmatch(r"[\w/-]+@v\d+", step["uses"]) for step in _steps() if "uses" in step)


def test_the_commands_of_the_workflow_exist() -> None:
    """With every option they give, as the command line declares them."""
    import typer

    commands = typer.main.get_command(app)
    scripts = "\n".join(step["run"].replace("\\\n", " ") for step in _steps() if "run" in step)
    called = re.findall(r"epa-bench (\w+)((?: +[\w./-]+)*)", scripts)
    assert {verb for verb, _ in called} == {"run", "gate"}
    for verb, rest in called:
        known = {name for option in commands.commands[verb].params for name in option.opts}  # type: ignore[attr-defined]
        assert set(re.findall(r"--\w+", rest)) <= known
    written = set(re.findall(r"gate\.(?:md|xml|json)", scripts))
    assert written == {"gate.md", "gate.xml", "gate.json"}
