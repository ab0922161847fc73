"""Our own training step: the data set, collator, score pass and trainer that `epa-bench train` runs."""

from epa_bench.bench.peers.sides import Side, TrainerSide
from epa_bench.bench.subject import BETA, Subject
from epa_bench.core.records import Candidate, Group, Preference, Response, Role
from epa_bench.data.chat import EncodedResponse
from epa_bench.losses.table import get_loss
from epa_bench.models.scoring import score_sequences
from epa_bench.models.self_check import choose_score_pass
from epa_bench.training.batches import GroupCollator, GroupDataset
from epa_bench.training.run import training_arguments
from epa_bench.training.trainer import PreferenceTrainer

_SCORE_TOKENS = 8192


def build(subject: Subject) -> Side:
    """The case's own loss, with reference log-probs computed before."""
    return _side(subject, subject.case.candidates, subject.case.loss)


def build_dpo(subject: Subject) -> Side:
    """DPO on the same groups' positives and first strong negatives."""
    return _side(subject, 2, "dpo")


def _side(subject: Subject, candidates: int, loss: str) -> Side:
    model = subject.new_model()
    groups = [group[:candidates] for batch in subject.batches for group in batch]
    sequences = [sequence for group in groups for sequence in group]
    scores = score_sequences(model, sequences, batch_tokens=_SCORE_TOKENS)
    dataset = GroupDataset(
        [_planned(row, subject, candidates) for row in range(len(groups))],
        [_preference(row, candidates) for row in range(len(groups))],
        lambda prompt_row, row, response: groups[row][response],
        {score.key: score for score in scores},
    )
    trainer = PreferenceTrainer(
        loss=get_loss(loss),
        options={},
        beta=BETA,
        nll=0.0,
        dtype="float32",
        score_pass=choose_score_pass(model, longest=max(map(_length, sequences))),
        model=model,
        args=training_arguments(subject.folder, device=subject.device, save_steps=None),
        data_collator=GroupCollator(candidates),
        train_dataset=dataset,
    )
    size = subject.case.groups
    batches = [[dataset[row] for row in range(start, start + size)] for start in range(0, len(dataset), size)]
    return TrainerSide(trainer, batches)


def _planned(row: int, subject: Subject, candidates: int) -> Group:
    return Group(
        step=row // subject.case.groups,
        example=row,
        candidates=tuple(
            Candidate(example=row, response=k, role=_role(k, subject.case.strong)) for k in range(candidates)
        ),
    )


def _role(k: int, strong: int) -> Role:
    if k == 0:
        return "positive"
    return "strong" if k <= strong else "weak"


def _preference(row: int, candidates: int) -> Preference:
    """Stands for its token ids, which nobody reads from a text here."""
    chosen, *rejected = (Response(text=str(k)) for k in range(candidates))
    return Preference(prompt=str(row), chosen=chosen, rejected=tuple(rejected), source=f"row {row}")


def _length(sequence: EncodedResponse) -> int:
    return len(sequence.prompt_ids) + len(sequence.response_ids)
