"""A gate's report for people: Markdown for a pull request, JUnit XML for a CI service."""

from collections.abc import Iterable, Iterator, Sequence
from xml.etree import ElementTree

from epa_bench.core.one_line import one_line
from epa_bench.leaderboard.cells import percent
from epa_bench.leaderboard.gate_report import CheckResult, GateReport, GoldenResult, Tested
from epa_bench.leaderboard.markdown import escape

_SHOWN_FLIPS = 20

_HEADER = ("Verdict", "Tier", "Check", "Baseline", "Candidate", "Change (one-sided bounds)", "Margin", "Needed", "n")

_LEGEND = (
    "A positive change is an improvement. PASS: the lower bound is above minus the margin; BREACH: the upper bound is "
    "below it, and a drop of any size is shown at 0.4 %, both at a Holm-adjusted p; INCONCLUSIVE: neither. Needed: the "
    "margin that an unchanged candidate passes with probability .8. n: prompts {times} seeds, pairs only."
)


def gate_markdown(report: GateReport) -> str:
    """The verdict, golden values, checks, and the prompts that flipped. Equal reports give equal text."""
    parts = [f"## {report.verdict}: {escape(report.candidate)} against {escape(report.baseline)}"]
    if report.golden:
        parts.append(_table(("Verdict", "Golden value", "Expected", "Found"), map(_golden_cells, report.golden)))
    if report.checks:
        parts.append(_table(_HEADER, map(_check_cells, report.checks)))
        parts.append(f"Bounds at {percent(report.level)}. " + _LEGEND.format(times="\N{MULTIPLICATION SIGN}"))
    parts += [f"- {escape(line)}" for result in report.checks for line in _remarks(result)]
    parts += [_flips(result) for result in report.checks if result.tested and result.tested.flips]
    return "\n\n".join(parts) + "\n"


def gate_junit(report: GateReport) -> str:
    """A testcase a golden value or check: `failure` for a breach that decides, `error` for a critical check that is
    inconclusive, `skipped` for other verdicts that are no pass."""
    suite = ElementTree.Element("testsuite", name=one_line(f"epa-bench gate {report.policy}"))
    for golden in report.golden:
        asked = golden.golden
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=one_line(asked.suite),
            name=one_line(f"golden {_golden_name(golden)} {asked.arm}"),
        )
        if golden.verdict == "BREACH":
            message = f"expected {asked.value!r} within {asked.tolerance!r}, found {golden.found!r}"
            ElementTree.SubElement(case, "failure", type="BREACH", message=message)
    for result in report.checks:
        check = result.check
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=one_line(check.suite),
            name=one_line(f"{check.metric} {check.arm} ({check.tier})"),
        )
        if result.verdict != "PASS":
            ElementTree.SubElement(case, _element(result), type=result.verdict, message=one_line(_message(result)))
    for attribute, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{element}"))))
    suite.set("tests", str(len(suite)))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _element(result: CheckResult) -> str:
    if result.verdict == "BREACH" and result.decides:
        return "failure"
    return "error" if result.check.tier == "critical" else "skipped"


def _message(result: CheckResult) -> str:
    if result.tested is None:
        return "; ".join(result.notes)
    return f"change {_change(result, result.tested)}, margin {_number(result, result.check.margin)}"


def _golden_cells(result: GoldenResult) -> list[str]:
    asked = result.golden
    found = "none: the table says why" if result.found is None else repr(result.found)
    expected = f"{asked.value!r} within {asked.tolerance!r}"
    return [result.verdict, f"{asked.suite} {_golden_name(result)}, {asked.arm}", expected, found]


def _golden_name(result: GoldenResult) -> str:
    of = {"score": "", "margin": ", margin", "margin_se": ", standard error of the margin"}[result.golden.of]
    return f"{result.golden.metric}{of}"


def _check_cells(result: CheckResult) -> list[str]:
    check, tested = result.check, result.tested
    unit = f" ({result.info.unit})" if result.info.unit else ""
    left_out = f", {result.n_left_out} left out" if result.n_left_out else ""
    return [
        result.verdict,
        check.tier,
        f"{check.suite} {check.metric}{unit}, {check.arm}",
        _number(result, tested.baseline) if tested else "",
        _number(result, tested.candidate) if tested else "",
        _change(result, tested) if tested else "",
        _number(result, check.margin),
        _number(result, tested.needed_margin) if tested else "",
        f"{result.n_prompts} \N{MULTIPLICATION SIGN} {len(result.seeds)}{left_out}",
    ]


def _change(result: CheckResult, tested: Tested) -> str:
    interval = tested.interval
    low, high = _number(result, interval.low), _number(result, interval.high)
    return f"{_number(result, interval.estimate, sign='+')} (above {low}, below {high})"


def _number(result: CheckResult, value: float, sign: str = "") -> str:
    return f"{value * result.info.scale:{sign}z.{result.info.digits}f}"


def _remarks(result: CheckResult) -> Iterator[str]:
    name = f"{result.check.suite} {result.check.metric}, {result.check.arm}"
    for note in result.notes:
        yield f"{name}: {note}."
    if result.seeds_left_out:
        yield f"{name}: seeds of one side only, left out: {', '.join(map(str, result.seeds_left_out))}."
    if result.tested:
        tested = result.tested
        mcnemar = "" if tested.p_mcnemar is None else f", exact McNemar {tested.p_mcnemar:.3g}"
        yield (
            f"{name}: p {tested.p_non_inferior:.3g} against a drop of the margin, {tested.p_inferior:.3g} for one "
            f"(Holm); p of no change for these seeds: sign flips {tested.p_sign_flip:.3g}{mcnemar}."
        )


def _flips(result: CheckResult) -> str:
    """Folded, since a gate may flip hundreds; all of them are in the JSON."""
    flips = (result.tested.flips if result.tested else None) or ()
    lost = sum(not flip.better for flip in flips)
    title = f"{result.check.suite} {result.check.metric}, {result.check.arm}: {lost} lost, {len(flips) - lost} gained"
    rows = [
        ["gained" if flip.better else "lost", flip.prompt_id, str(flip.seed), f"{flip.before:g}", f"{flip.after:g}"]
        for flip in flips[:_SHOWN_FLIPS]
    ]
    table = _table(("Flipped", "Prompt", "Seed", "Before", "After"), rows)
    more = f"\n\n... and {len(flips) - _SHOWN_FLIPS} more" if len(flips) > _SHOWN_FLIPS else ""
    return f"<details><summary>{escape(title)}</summary>\n\n{table}{more}\n\n</details>"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, [":---"] * len(header), *([escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
