"""Our own training step: the trainer, collator and score pass that `epa-bench train` runs."""

from epa_bench.bench.peers.sides import Side, TrainerSide
from epa_bench.bench.subject import BETA, Subject
from epa_bench.losses.table import get_loss
from epa_bench.models.scoring import score_sequences, sequence_key
from epa_bench.models.self_check import choose_score_pass
from epa_bench.training.batches import EncodedCandidate, GroupCollator
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
    batches = [[group[:candidates] for group in groups] for groups in subject.batches]
    sequences = [sequence for groups in batches for group in groups for sequence in group]
    reference = {s.key: s.logp for s in score_sequences(model, sequences, batch_tokens=_SCORE_TOKENS)}
    trainer = PreferenceTrainer(
        loss=get_loss(loss),
        options={},
        beta=BETA,
        nll=0.0,
        dtype="float32",
        score_pass=choose_score_pass(model, longest=max(len(s.prompt_ids) + len(s.response_ids) for s in sequences)),
        model=model,
        args=training_arguments(subject.folder, device=subject.device, save_steps=None),
        data_collator=GroupCollator(candidates),
    )
    encoded = [
        [
            [
                EncodedCandidate(s, reference[sequence_key(s)], strong=1 <= k <= subject.case.strong, gold=None)
                for k, s in enumerate(group)
            ]
            for group in groups
        ]
        for groups in batches
    ]
    return TrainerSide(trainer, encoded)
