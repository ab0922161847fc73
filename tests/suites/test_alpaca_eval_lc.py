"""Length control of annotations: what df_gamed must be, who has no length-controlled win rate and why."""

import csv
from pathlib import Path

import numpy as np
import pytest

from epa_bench.core.digest import file_sha256
from epa_bench.core.errors import DataError
from epa_bench.suites.alpaca_eval_lc import Gamed, LengthControlled, length_controlled, read_gamed
from epa_bench.suites.annotations import Annotation
from tests.suites.annotated import annotation

HEADER = "index,preference,std_delta_len,instruction_difficulty,not_gamed_baseline,model\n"


@pytest.fixture(scope="module")
def gamed(tmp_path_factory: pytest.TempPathFactory) -> Gamed:
    """60 prompts, each gamed once briefly and once at length."""
    rng = np.random.default_rng(0)
    difficulty = rng.normal(0, 1, 60)
    rows = [
        f"{index},{rng.uniform(0, 0.4)},{rng.normal(sign * 2, 1)},{difficulty[index]},False,{name}\n"
        for sign, name in ((1, "concise"), (-1, "verbose"))
        for index in range(60)
    ]
    path = tmp_path_factory.mktemp("gamed") / "df_gamed.csv"
    path.write_text(HEADER + "".join(rows))
    return read_gamed(path, pinned_sha256="0" * 64)


def invented_model(seed: int, prompts: int = 60, best: float = 2) -> list[Annotation]:
    rng = np.random.default_rng(seed)
    return [
        annotation(
            f"p{index}",
            index=index,
            preference=float(rng.uniform(best - 0.4, best)),
            length=int(rng.integers(10, 900)),
            reference_length=500,
        )
        for index in range(prompts)
    ]


def controlled(rows: list[Annotation], gamed: Gamed) -> LengthControlled | str:
    return length_controlled({"mine": rows}, gamed, n_draws=50)["mine"]


def test_synthetic_file_is_read_and_not_official(shared_data: Path) -> None:
    path = shared_data / "alpaca_eval" / "df_gamed_synthetic.csv"
    read = read_gamed(path, pinned_sha256="0" * 64)
    assert read.rows.win_G.shape == (1610,)
    assert set(read.difficulty) == set(range(805))
    assert not read.official
    assert read_gamed(path, pinned_sha256=file_sha256(path)).official
    with path.open() as file:
        assert read.difficulty[7] == float(list(csv.DictReader(file))[7]["instruction_difficulty"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected finite numbers in at least one row"),
        (HEADER, "expected finite numbers in at least one row"),
        ("index,preference\n0,1\n", "expected numbers in the columns index, preference, std_delta_len"),
        (HEADER + "0,x,0,0,False,a\n", "could not convert"),
        (HEADER + "0,0.5,0\n", "expected numbers in the columns"),
        (HEADER + "0,nan,0,0,False,a\n", "expected finite numbers"),
        (HEADER + "1,0.5,0,0,False,a\n0,0.5,0,0,False,a\n", "row 1: expected index 0, got 1; sort the file by index"),
        (HEADER + "0,0.5,0,0,True,a\n", "row 1: expected not_gamed_baseline False"),
    ],
)
def test_damaged_df_gamed(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "df_gamed.csv"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_gamed(path, "0" * 64)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*nonesuch\.csv"):
        read_gamed(tmp_path / "nonesuch.csv", "0" * 64)


def test_own_prompts_with_an_index_have_one(gamed: Gamed) -> None:
    """Any index that df_gamed knows will do; the rows' order does not matter."""
    rows = invented_model(1)
    one = controlled(rows, gamed)
    other = controlled(rows[::-1], gamed)
    assert isinstance(one, LengthControlled)
    assert isinstance(other, LengthControlled)
    assert one.interval.low < one.lc_win_rate < one.interval.high
    assert other.interval.low == pytest.approx(one.interval.low)
    assert other.interval.se == pytest.approx(one.interval.se)
    # The package cuts its folds by position: 0.15 is its own tolerance.
    assert other.lc_win_rate == pytest.approx(one.lc_win_rate, abs=0.15)


def test_who_has_none_and_why(gamed: Gamed) -> None:
    rows = invented_model(2)
    unknown = [row.model_copy(update={"index": None}) for row in rows[:3]] + rows[3:]
    assert controlled(unknown, gamed) == "3 of 60 prompts are not AlpacaEval's and have no `index`"
    foreign = [rows[0].model_copy(update={"index": 77}), *rows[1:]]
    assert controlled(foreign, gamed) == "1 of 60 prompts have no difficulty in df_gamed.csv"
    equal = [row.model_copy(update={"length": 500}) for row in rows]
    assert controlled(equal, gamed) == "all answers differ from the reference's in length by the same"


def test_the_reference_has_fifty(gamed: Gamed) -> None:
    rows = [row.model_copy(update={"length": 500, "identical": True, "preference": 1.5}) for row in invented_model(3)]
    found = length_controlled({"reference": rows, "mine": invented_model(4)}, gamed, n_draws=50)
    reference, mine = found["reference"], found["mine"]
    assert isinstance(reference, LengthControlled)
    assert isinstance(mine, LengthControlled)
    assert (reference.lc_win_rate, reference.is_reference, reference.interval.se) == (50, True, 0)
    margin = mine.minus(reference)
    assert (margin.low, margin.high) == pytest.approx((mine.interval.low - 50, mine.interval.high - 50))


def test_models_that_lack_different_prompts_share_the_draws(gamed: Gamed) -> None:
    rows = invented_model(5)
    found = length_controlled({"all": rows, "some": rows[:50], "others": rows[10:]}, gamed, n_draws=50)
    whole, some = found["all"], found["some"]
    assert isinstance(whole, LengthControlled)
    assert isinstance(some, LengthControlled)
    # Fifty of the sixty prompts in common: correlated draws.
    assert whole.minus(some).se < 0.8 * np.hypot(whole.interval.se, some.interval.se)


def test_too_few_prompts(gamed: Gamed) -> None:
    found = length_controlled({"all": invented_model(6), "two": invented_model(6, prompts=2)}, gamed, n_draws=50)
    assert found["two"] == "2 prompts are too few for an interval"


def test_a_penalty_that_leaves_nothing_is_no_result(gamed: Gamed) -> None:
    """Verdicts without any signal: every coefficient is zero, LC is 50 in every draw, an interval without width."""
    reason = controlled(invented_model(7, best=1.7), gamed)
    assert isinstance(reason, str)
    assert "so strong a penalty" in reason
