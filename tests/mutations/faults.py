"""Faults to plant, each an exact replacement of text that occurs once, and the tests that should see it."""

from dataclasses import dataclass
from pathlib import Path

from epa_bench.core.errors import DataError


@dataclass(frozen=True)
class Fault:
    """One thing to break."""

    name: str
    file: str
    """Below `epa_bench/`."""

    before: str
    after: str
    tests: tuple[str, ...]
    """Files or ids of tests, from the repository's root: a selection, so that a run takes minutes."""

    def plant(self, root: Path) -> None:
        """Breaks the copy at `root`. Raises DataError where the text is gone or no longer unique."""
        path = root / "epa_bench" / self.file
        source = path.read_text(encoding="utf-8")
        if source.count(self.before) != 1:
            raise DataError(
                f"{self.name}: expected once in {path}, found {source.count(self.before)} times: {self.before!r}; the "
                "code has changed, so give tests/mutations/faults.py the text to replace now"
            )
        path.write_text(source.replace(self.before, self.after), encoding="utf-8")


_TURN_MEANS = (
    "average=(lambda turns: turns[0].model_copy(update={'value': sum(t.value for t in turns) / len(turns)}))"
    "([mean for n in (1, 2) if (mean := _mean([r for r in ratings if r.item == n]))]),"
)

FAULTS = (
    Fault(
        "sign of DPO's loss",
        "losses/dpo.py",
        "return -logsigmoid(gaps_G)",
        "return -logsigmoid(-gaps_G)",
        ("tests/losses/test_dpo_loss.py::test_a_number_worked_by_hand",),
    ),
    Fault(
        "weak negatives dropped",
        "data/plan.py",
        "drawn = [*rows.strong(example, strong), *rows.weak(example, epoch, pool, weak, weak_source)]",
        "drawn = [*rows.strong(example, strong)]",
        ("tests/data/test_plan.py::test_a_plan_pinned_across_machines_and_versions",),
    ),
    Fault(
        "response starts one token late",
        "data/chat.py",
        "return ids[start:] if",
        "return ids[start + 1 :] if",
        ("tests/data/test_chat.py::test_the_response_is_what_the_model_must_write",),
    ),
    Fault(
        "EOS missing",
        "data/chat.py",
        "        ids.append(self._eos_id)\n",
        "",
        ("tests/data/test_chat.py::test_the_response_is_what_the_model_must_write",),
    ),
    Fault(
        "beta ignored",
        "losses/scores.py",
        "return self.beta * (",
        "return (",
        ("tests/losses/test_group_scores.py",),
    ),
    Fault(
        "another response's reference log-prob",
        "training/batches.py",
        "score = self._reference.get(sequence_key(sequence))",
        "score = next(iter(self._reference.values()))",
        ("tests/training/test_batches.py::test_an_item_is_a_group_with_its_reference_scores",),
    ),
    Fault(
        "seeds reused",
        "pipeline/training_cells.py",
        '"data_seed": seed if training.data_seed is None else training.data_seed,',
        '"data_seed": training.data_seed or 1,',
        ("tests/pipeline/test_training_cells.py",),
    ),
    Fault(
        "judge shown the answers in the other order",
        "judges/pairs.py",
        "if swapped else (pairing.baseline, pairing.output)",
        "if not swapped else (pairing.baseline, pairing.output)",
        ("tests/judges/test_pairs.py",),
    ),
    Fault(
        "unparsed verdict scored 0",
        "suites/pairwise.py",
        "prompt_id=verdict.prompt_id, error=verdict.error)",
        "prompt_id=verdict.prompt_id, value=0.0)",
        ("tests/suites/test_pairwise.py",),
    ),
    Fault(
        "rows misaligned by one",
        "leaderboard/build.py",
        "return (ours.loc[common] - theirs.loc[common])",
        'return (ours.loc[common] - theirs.loc[common].shift(1, axis="columns"))',
        ("tests/leaderboard/test_build.py",),
    ),
    Fault(
        "mean of turn means",
        "suites/mt_bench_scores.py",
        "average=_mean(ratings),",
        _TURN_MEANS,
        ("tests/suites/test_mt_bench_scores.py",),
    ),
    Fault(
        "margin of means, unpaired",
        "leaderboard/build.py",
        "return (ours.loc[common] - theirs.loc[common])",
        'return ours.loc[common].sub(theirs.loc[common].mean(axis="columns"), axis="index")',
        ("tests/leaderboard/test_build.py",),
    ),
    Fault(
        "sign of EPA's loss",
        "losses/epa.py",
        "-logsigmoid(-torch.logsumexp(gaps_GN, dim=1))",
        "-logsigmoid(torch.logsumexp(gaps_GN, dim=1))",
        ("tests/losses/test_epa_loss.py::test_a_number_worked_by_hand",),
    ),
    Fault(
        "repeated candidates not masked",
        "data/plan.py",
        "reason = seen.get(text)",
        "reason = None",
        ("tests/data/test_plan.py::test_masked_candidates_are_kept_with_their_reason",),
    ),
    Fault(
        "first response token predicted from one position early",
        "models/packing.py",
        "prompt.start + prompt.length - 1, *range",
        "prompt.start + prompt.length - 2, *range",
        (
            "tests/models/test_packing.py::test_worked_row",
            "tests/models/test_logprobs.py::test_worked_number",
        ),
    ),
    Fault(
        "generation prompt missing",
        "data/chat.py",
        "add_generation_prompt=generation_prompt and response is None",
        "add_generation_prompt=False",
        ("tests/data/test_chat.py::test_prompt_ids_are_the_tokenizers_own_and_those_of_every_response",),
    ),
    Fault(
        "learning rate ignored",
        "training/preference.py",
        "learning_rate=learning_rate,",
        "learning_rate=0.0,",
        ("tests/training/test_trainer.py::test_the_learning_rate_warms_up_and_decays",),
    ),
    Fault(
        "labels' probabilities read the wrong way round",
        "judges/pairwise.py",
        "shown = 2 - mass[labels[0]] / total",
        "shown = 1 + mass[labels[0]] / total",
        ("tests/judges/test_pairwise.py",),
    ),
    Fault(
        "rating outside 1 to 10 accepted",
        "judges/rating.py",
        "if not 1 <= rating <= 10:",
        "if rating < 0:",
        ("tests/judges/test_rating.py",),
    ),
    Fault(
        "mean of the turns that are there",
        "leaderboard/build.py",
        '["value"].mean(skipna=False)',
        '["value"].mean()',
        ("tests/leaderboard/test_build.py",),
    ),
    Fault(
        "variance of seeds left out",
        "stats/crossed.py",
        "seeds_count * squares.seeds,",
        "0 * squares.seeds,",
        ("tests/stats/test_crossed.py::test_worked_table",),
    ),
    Fault(
        "off-support pairs counted the wrong way round",
        "suites/off_support.py",
        '"accuracy": np.mean(gaps_OF > 0)',
        '"accuracy": np.mean(gaps_OF < 0)',
        ("tests/suites/test_off_support.py",),
    ),
    Fault(
        "gold judge prefers the worse answer",
        "judges/gold.py",
        "preference=1 + 1 / (1 + math.exp(-gap))",
        "preference=1 + 1 / (1 + math.exp(gap))",
        ("tests/judges/test_gold.py",),
    ),
    Fault(
        "Holm left out of a gate",
        "leaderboard/gate.py",
        "holm(raw) if raw else []",
        "raw",
        ("tests/leaderboard/test_gate.py::test_holm_over_the_checks_that_decide",),
    ),
)
