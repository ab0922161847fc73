"""Which texts, scores and verdicts stand side by side, and in how many chunks."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epa_bench.core.records import prompt_digest
from epa_bench.report.answers import answers
from epa_bench.report.loaded import load_run
from epa_bench.report.section import Section
from epa_bench.report.write import make_page, write_report
from tests.report.handmade import Judged, write_handmade

if TYPE_CHECKING:
    from tests.conftest import Workplace


def _section(run: Path) -> Section:
    return answers((load_run(run, run.parent),))


def _examples(section: Section) -> list[Any]:
    return [example for chunk in section.chunks for example in json.loads(chunk)["examples"]]


def test_an_example_holds_every_checkpoints_answer_score_and_verdict(tmp_path: Path) -> None:
    run = write_handmade(
        tmp_path / "runs",
        {
            "why?": {
                ("dpo", 1): Judged("d", (1.25, 1.5), "both fine"),
                ("epa", 1): Judged("e", (1.75,)),
                ("epa", 2): Judged("reference of why?", (None,), "I cannot say"),
            }
        },
    )
    section = _section(run)
    (group,) = section.data.groups
    assert group["checkpoints"] == [("dpo", 1), ("epa", 1), ("epa", 2)]
    assert (group["left"], group["right"]) == ("dpo", "epa")
    assert group["judge"] == "a judge"
    ((_, prompt, category, opponent, (dpo, epa, failed)),) = _examples(section)
    assert (prompt, category) == ("why?", "helpful_base")
    assert opponent == 2, "the third checkpoint gave the reference's answer"
    assert dpo[:4] == ["d", 0.375, None, "loses"]
    assert dpo[4] == [
        ["shown second", "prefers it with probability 0.250", "both fine"],
        ["shown first", "prefers it with probability 0.500", "both fine"],
    ]
    assert epa[:4] == ["e", 0.75, None, "wins"]
    assert failed[1:4] == [None, "unread: neither label", "failed"]
    assert failed[4][0][1:] == ["unread: neither label", "I cannot say"]


def test_a_sweeps_examples_are_its_cells_texts_and_its_rows_values(finished: "Workplace") -> None:
    section = _section(finished.folder / "runs" / "mini")
    rows = [json.loads(line) for line in (finished.folder / "runs/mini/rows.jsonl").read_text().splitlines()]
    scores = {(r["suite"], r["metric"], r["arm"], r["seed"], r["prompt_id"]): r.get("value") for r in rows}
    metrics = {"embedded_pairwise": "win_rate", "generation": "gold_reward"}
    texts = {
        (json.loads(line)["prompt_id"], json.loads(line)["text"])
        for path in finished.store.glob("cells/responses/*/responses.jsonl")
        for line in path.read_text().splitlines()
    }
    groups = section.data.groups
    assert [group["suite"] for group in groups] == sorted(metrics)
    seen = 0
    for chunk in map(json.loads, section.chunks):
        group = groups[chunk["group"]]
        for _, prompt, _, _, answered in chunk["examples"]:
            for (arm, seed), answer in zip(group["checkpoints"], answered, strict=True):
                key = (group["suite"], metrics[group["suite"]], arm, seed, prompt_digest(prompt))
                assert answer[1] == scores[key]
                assert (prompt_digest(prompt), answer[0]) in texts
                seen += 1
    assert seen == 2 * 7 * 12


def test_what_is_too_large_for_the_page_lies_beside_it(tmp_path: Path) -> None:
    text = "x" * 400_000
    examples = {f"{n}": {("dpo", 1): Judged(text), ("epa", 1): Judged(text)} for n in range(6)}
    run = write_handmade(tmp_path / "runs", examples)
    out = tmp_path / "out" / "page.html"
    stranger = tmp_path / "out" / "page_files" / "notes.txt"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("mine")
    (stranger.parent / "answers-0099.js").write_text("of an earlier page")
    written = write_report([run], run.parent, out)
    assert [Path(name).name for name in written.files] == [f"answers-000{n}.js" for n in range(6)]
    assert "xxxx" not in out.read_text()
    assert sorted(path.name for path in stranger.parent.iterdir()) == [f"answers-000{n}.js" for n in range(6)] + [
        "notes.txt"
    ]
    (page, _), (again, _) = (make_page((load_run(run, run.parent),), "page_files") for _ in range(2))
    assert page == again


def test_a_table_without_its_run_says_that_it_holds_no_answers(tmp_path: Path) -> None:
    run = write_handmade(tmp_path / "runs", {"q": {("dpo", 1): Judged("a")}})
    board = run.parent / "leaderboards" / "made.json"
    section = answers((load_run(board, tmp_path / "elsewhere"),))
    assert section.missing == ("made: a table alone holds no answers; name the folder of its run",)
