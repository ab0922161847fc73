"""The label curve of preference pairs, on the embedded task: DPO and EPA by labelled pairs.

A label says which of two responses is better. Weak negatives are drawn from the labelled pairs alone.
"""

import copy
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from transformers import PreTrainedModel

from epa_bench.acquisition.pairs import PairPolicy
from epa_bench.config.schema import EmbeddedData, ScratchModel, Training
from epa_bench.config.supervised import Sft
from epa_bench.core.files import read_records
from epa_bench.core.metric import MetricInfo
from epa_bench.core.records import Preference, Prompt, Record, ReferenceScore, Response
from epa_bench.data.chat import EncodedResponse, Renderer
from epa_bench.data.embedded.gold import gold_reward
from epa_bench.data.plan import build_plan
from epa_bench.data.pool import PairRow
from epa_bench.models.checkpoint import load_model, load_tokenizer, ready
from epa_bench.models.scoring import score_sequences, sequence_key
from epa_bench.steps import preferences_embedded, reference
from epa_bench.steps.context import StepContext
from epa_bench.studies.label_curve import CurveArm, Evaluated
from epa_bench.suites import linearity, reward_accuracy
from epa_bench.suites.probes import ProbeItem, ProbeScore, build_probes, scored_items
from epa_bench.training.batches import GroupDataset, encoder_of
from epa_bench.training.preference import train_preference

ARMS = (
    CurveArm(name="random", representation="random"),
    CurveArm(name="entropy", representation="entropy"),
    CurveArm(name="features, k-means-nearest", representation="features"),
    CurveArm(name="BADGE, k-means++", representation="badge"),
    CurveArm(name="VAP, k-means++", representation="vap"),
)
"""Entropy and margin put pairs in the same order, having two classes."""

_METRICS = {
    "accuracy": reward_accuracy.METRICS["accuracy"],
    "pearson_all": linearity.METRICS["pearson_all"],
}
_WEAK = {"dpo": 0, "epa": 2}
_MISMATCHED = 3
_BATCH_TOKENS = 8192


class PairWorld(Record):
    """What a pairs task is made from."""

    task: EmbeddedData = EmbeddedData(
        kind="embedded", sft_prompts=20000, correct=0.65, off_topic=0.15, train_prompts=600, eval_prompts=120
    )
    model: ScratchModel = ScratchModel(
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        vocab_size=640,
        max_position_embeddings=128,
        rope_theta=1000,
        initializer_range=0.04,
    )
    sft: Sft = Sft(num_train_epochs=2, batch_size=64, learning_rate=1.5e-3, warmup_ratio=0.05)
    beta: float = 0.5
    learning_rate: float = 1e-3
    training: Training = Training(per_device_train_batch_size=20, gradient_accumulation_steps=1, num_train_epochs=4)


@dataclass(frozen=True)
class PairTask:
    """Held-out reward accuracy and linearity of policies trained on labelled pairs."""

    world: PairWorld
    reference: PreTrainedModel
    encode: Callable[[Prompt, str], EncodedResponse]
    """(prompt, response) -> token ids, with a memory: every model reads the same texts."""

    preferences: Sequence[Preference]
    """A labelled pair each, in the order of the pool."""

    probes: Sequence[ProbeItem]
    device: str

    @property
    def methods(self) -> Sequence[str]:
        return tuple(_WEAK)

    @property
    def metrics(self) -> Mapping[str, MetricInfo]:
        return _METRICS

    @property
    def about(self) -> str:
        world = self.world
        return (
            f"Embedded task: a pool of {len(self.preferences)} pairs sampled from one reference that all seeds share, "
            f"labelled by Bradley-Terry on gold rewards; {world.task.eval_prompts} held-out prompts. DPO and EPA with "
            f"1 strong and {_WEAK['epa']} weak negatives, drawn from the labelled pairs; beta {world.beta:g}, learning "
            f"rate {world.learning_rate:g}, {world.training.num_train_epochs} epochs in steps of "
            f"{world.training.groups_per_step} groups, from the reference for every point."
        )

    @cached_property
    def pool(self) -> list[PairRow]:
        return [PairRow(str(p.prompt), (p.chosen.text, p.rejected[0].text)) for p in self.preferences]

    def train(self, method: str, rows: Sequence[int], seed: int) -> Evaluated:
        labelled = [self.preferences[row] for row in rows]
        policy, training = copy.deepcopy(self.reference), self.world.training
        plan = build_plan(
            labelled,
            strong=1,
            weak=_WEAK[method],
            weak_source="both",
            weak_pool="step",
            groups_per_step=training.groups_per_step,
            epochs=training.num_train_epochs,
            data_seed=seed,
        )
        encode = encoder_of(labelled, self.encode)
        sequences = [encode(group.example, c.example, c.response) for group in plan.groups for c in group.candidates]
        with tempfile.TemporaryDirectory(prefix="epa-bench-") as folder:
            train_preference(
                policy,
                GroupDataset(plan.groups, labelled, encode, self._reference_scores(sequences)),
                Path(folder),
                loss=method,
                options={},
                beta=self.world.beta,
                learning_rate=self.world.learning_rate,
                nll=0.0,
                seed=seed,
                steps=plan.steps,
                settings=training,
                candidates=2 + _WEAK[method],
                longest=self.world.task.max_length,
                device=self.device,
                report=_unreported,
            )
        ready(policy, self.device)
        return Evaluated(PairPolicy(policy, self.reference, self.encode, self.world.beta), self._values(policy))

    def _reference_scores(self, sequences: Sequence[EncodedResponse]) -> dict[str, ReferenceScore]:
        return {score.key: score for score in score_sequences(self.reference, sequences, batch_tokens=_BATCH_TOKENS)}

    def _values(self, policy: PreTrainedModel) -> dict[str, dict[str, float]]:
        """Metric -> prompt and item -> value; prompts without a value, as of a constant reward, are missing."""
        scored = list(
            scored_items(self.probes, self._scores(policy), self._scores_of_reference, beta=self.world.beta, limit=None)
        )
        found: dict[str, dict[str, float]] = {metric: {} for metric in _METRICS}
        for values in (reward_accuracy.reward_accuracy_values(scored), linearity.linearity_values(scored, _MISMATCHED)):
            for value in values:
                if value.metric in found and value.value is not None:
                    found[value.metric][f"{value.prompt_id} {value.item}"] = value.value
        return found

    @cached_property
    def _scores_of_reference(self) -> list[ProbeScore]:
        return self._scores(self.reference)

    def _scores(self, model: PreTrainedModel) -> list[ProbeScore]:
        sequences = [self.encode(item.prompt, item.text) for item in self.probes]
        by_key = {score.key: score for score in score_sequences(model, sequences, batch_tokens=_BATCH_TOKENS)}
        return [ProbeScore(**by_key[sequence_key(sequence)].model_dump()) for sequence in sequences]


def embedded_task(world: PairWorld, folder: Path, device: str, say: Callable[[str], None]) -> PairTask:
    """Trains the reference and samples the pairs, in `folder`."""
    text = {"template": "chat", "max_length": world.task.max_length, "trust_remote_code": False}
    config = {
        "model": world.model.model_dump(mode="json"),
        "sft": world.sft.model_dump(mode="json"),
        "task": world.task.model_dump(mode="json"),
        "max_length": world.task.max_length,
        "text": text,
        "dtype": "float32",
        "batch_size": 64,
    }
    model_folder = folder / "model"
    context = StepContext(config, {"reference_path": str(model_folder)}, {}, folder, device, _unreported)
    say("reference")
    reference.run(context)
    say("pairs")
    preferences_embedded.run(context)
    return open_task(world, folder, device)


def open_task(world: PairWorld, folder: Path, device: str) -> PairTask:
    """The task whose reference and pairs stand in `folder`."""
    model_folder = folder / "model"
    held_out = read_records(folder / "eval.jsonl", Preference)
    renderer = Renderer(load_tokenizer(model_folder), template="chat", max_length=world.task.max_length)
    return PairTask(
        world,
        load_model(model_folder, dtype="float32", device=device),
        cache(renderer.encode),
        [_pair(preference) for preference in read_records(folder / "train.jsonl", Preference)],
        list(build_probes(held_out, mismatched=_MISMATCHED, gold=_gold)),
        device,
    )


def _unreported(done: int, total: int) -> None:
    """A step of seconds needs no progress."""


def _pair(preference: Preference) -> Preference:
    """The first two of a prompt's responses by their text, labelled as they were ranked."""
    first, second = sorted(sorted(preference.responses, key=lambda response: response.text)[:2], key=_rank(preference))
    return preference.model_copy(update={"chosen": first, "rejected": (second,)})


def _rank(preference: Preference) -> Callable[[Response], int]:
    return preference.responses.index


def _gold(prompt: Prompt, response: str) -> float:
    assert isinstance(prompt, str)
    return gold_reward(prompt, response)
