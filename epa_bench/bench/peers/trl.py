"""TRL's DPOTrainer through its front door: text in, its own tokenisation, reference pass, collator and step."""

from importlib import import_module
from typing import Any

from datasets import Dataset  # type: ignore[import-untyped]

from epa_bench.bench.peers.sides import PeerMissingError, Side, TrainerSide
from epa_bench.bench.subject import BETA, Subject


def build(subject: Subject) -> Side:
    """References computed before, as ours are."""
    return _side(subject, precompute=True)


def build_online(subject: Subject) -> Side:
    """References computed at every step, TRL's default."""
    return _side(subject, precompute=False)


def _side(subject: Subject, *, precompute: bool) -> Side:
    try:
        trl: Any = import_module("trl")
    except ImportError as error:
        raise PeerMissingError("trl not installed") from error
    # A model of a path, because the trainer loads its reference from there.
    folder = subject.folder / "trl-model"
    subject.new_model().save_pretrained(folder)
    trainer: Any = trl.DPOTrainer(
        model=str(folder),
        args=trl.DPOConfig(
            output_dir=str(subject.folder / "trl"),
            beta=BETA,
            precompute_ref_log_probs=precompute,
            precompute_ref_batch_size=subject.case.groups,
            # Its defaults are a bf16 autocast, checkpoints of activations and a cut at 1,024 tokens: other work.
            bf16=False,
            gradient_checkpointing=False,
            max_length=None,
            use_cpu=subject.device == "cpu",
            dataloader_pin_memory=subject.device != "cpu",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(_rows(subject)),
        processing_class=subject.tokenizer,
    )
    size = subject.case.groups
    rows = list(trainer.train_dataset)
    return TrainerSide(trainer, [rows[start : start + size] for start in range(0, len(rows), size)])


def _rows(subject: Subject) -> list[dict[str, str]]:
    return [
        {
            "prompt": subject.text(chosen.prompt_ids),
            "chosen": f" {subject.text(chosen.response_ids)}",
            "rejected": f" {subject.text(rejected.response_ids)}",
        }
        for groups in subject.batches
        for chosen, rejected in groups
    ]
