"""Progress: plain lines away from a terminal, reports that come late, cells of one label."""

import threading

import pytest

from epa_bench.core.progress import SweepProgress


def test_plain_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with SweepProgress(3, 1) as progress:
        progress.started("d1", "train [red]dpo[/red], seed 1")
        progress.moved("d1", 1, 2)
        progress.finished("d1")
    out, err = capsys.readouterr()
    assert out == ""
    first, second = err.splitlines()
    assert first == "1 of 3 cells are in the store already"
    assert second.startswith("[2/3] train [red]dpo[/red], seed 1: ")


def test_cells_of_one_label_are_two(capsys: pytest.CaptureFixture[str]) -> None:
    with SweepProgress(2, 0) as progress:
        progress.started("d1", "responses")
        progress.started("d2", "responses")
        progress.finished("d1")
        progress.finished("d2")
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        "[1/2] responses",
        "[2/2] responses",
    ]


def test_report_of_a_finished_or_unknown_cell_is_ignored() -> None:
    with SweepProgress(1, 0) as progress:
        progress.started("d1", "train")
        progress.finished("d1")
        progress.moved("d1", 9, 9)
        progress.moved("nonesuch", 9, 9)


def test_reports_and_ends_from_two_threads() -> None:
    """The reports of a cell come through a queue and its end through another: neither waits for the other."""
    failures: list[BaseException] = []

    def report() -> None:
        try:
            for number in range(5000):
                progress.moved(f"d{number % 50}", number, 5000)
        except KeyError as error:
            failures.append(error)

    with SweepProgress(2000, 0) as progress:
        thread = threading.Thread(target=report)
        thread.start()
        for number in range(2000):
            progress.started(f"d{number % 50}", "cell")
            progress.finished(f"d{number % 50}")
        thread.join()
    assert failures == []


def test_long_cells_speak_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with SweepProgress(total=2, cached=1) as shown:
        shown.started("a1", "train dpo, seed 1")
        shown.moved("a1", 5, 50)
        monkeypatch.setattr("epa_bench.core.progress._PLAIN_INTERVAL", -1.0)
        shown.moved("a1", 10, 50)
        shown.finished("a1")
        shown.moved("a1", 50, 50)  # a report that came late
    first, second, third = capsys.readouterr().err.splitlines()
    assert first == "1 of 2 cells are in the store already"
    assert second == "    train dpo, seed 1: 10 of 50"
    assert third.startswith("[2/2] train dpo, seed 1: ")


def test_a_notice_of_several_cells_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    with SweepProgress(2, 0) as progress:
        for message in (
            "the [bold]template[/bold] is odd",
            "a checkpoint was damaged",
            "the [bold]template[/bold] is odd",
        ):
            progress.notice(message)
    assert capsys.readouterr().err.splitlines() == [
        "warning: the [bold]template[/bold] is odd",
        "warning: a checkpoint was damaged",
    ]
