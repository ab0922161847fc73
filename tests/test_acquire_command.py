"""`epa-bench acquire` as a user calls it: the file it writes, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from epa_bench.acquisition.model import VapSettings
from epa_bench.core.errors import CheckpointError, ConfigError, DataError
from epa_bench.data.topics import CLASSES, topic_texts
from epa_bench.models.checkpoint import save_checkpoint
from epa_bench.models.classifier import load_classifier, load_encoder, new_encoder, new_tokenizer
from epa_bench.pipeline.acquisition import Asked, acquire_from_files
from tests.conftest import Workplace
from tests.tiny import tiny_model, tiny_preferences, tiny_tokenizer

TEXTS = topic_texts(30, seed=0)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A pool of texts and one of pairs, with a classifier, a policy and a reference."""
    folder = tmp_path_factory.mktemp("acquire")
    tokenizer = new_tokenizer([row.text for row in TEXTS], vocab_size=300, max_length=64)
    for name, classes in (("classifier", CLASSES), ("one-class", CLASSES[:1])):
        save_checkpoint(folder / name, new_encoder(tokenizer, classes, seed=0, device="cpu"), tokenizer, {})
    for name, seed in (("policy", 1), ("reference", 0)):
        save_checkpoint(folder / name, tiny_model(seed), tiny_tokenizer(), {})
    lines = [f"{n}\t{row.text}" for n, row in enumerate(TEXTS)]
    (folder / "pool.tsv").write_text("\n".join(["id\ttext", *lines, ""]))
    (folder / "seen.tsv").write_text(
        "\n".join(["text\tlabel", *(f"{row.text}\t{row.label}" for row in TEXTS[:20]), ""])
    )
    pairs = [
        {"prompt": p.prompt, "response_a": p.chosen.text, "response_b": p.rejected[0].text}
        for p in tiny_preferences(12)
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    return Workplace(folder)


def acquired(place: Workplace, *arguments: str) -> list[dict[str, object]]:
    done = place.run("acquire", *arguments, "--to", "next.jsonl")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (place.folder / "next.jsonl").read_text().splitlines()]


def test_texts_with_the_reason_for_each(place: Workplace) -> None:
    arguments = ("pool.tsv", "--budget", "5", "--model", "classifier", "--labelled", "seen.tsv", "--seed", "3")
    rows = acquired(place, *arguments)
    assert len(rows) == 5
    assert {row["text"] for row in rows} <= {row.text for row in TEXTS[20:]}
    first = rows[0]["acquisition"]
    assert isinstance(first, dict)
    assert (first["rank"], first["seed"], first["pool"], first["labelled"]) == (1, 3, 30, 20)
    assert (first["representation"], first["selector"]) == ("vap", "k-means++")
    assert first["vap"] == {"layer": "middle", "iterations": 1, "xi": 0.1, "unit": False}
    assert set(first["versions"]) >= {"torch", "scikit-learn"}
    assert len(first["model"]) == 32


def test_pairs(place: Workplace) -> None:
    models = ("--model", "policy", "--reference", "reference", "--max-length", "100")
    rows = acquired(place, "pairs.jsonl", "--budget", "4", *models, "--by", "badge")
    assert len({json.dumps(row["prompt"]) for row in rows}) == 4
    assert all(set(row) == {"prompt", "response_a", "response_b", "acquisition"} for row in rows)


def test_a_mistake_is_told_without_a_traceback_and_nothing_is_written(place: Workplace) -> None:
    done = place.run("acquire", "pool.tsv", "--budget", "31", "--by", "random", "--to", "refused.jsonl")
    assert done.returncode == 4, done.stderr
    assert "expected a pool of 31 or more unlabelled rows" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (place.folder / "refused.jsonl").exists()


@pytest.mark.parametrize(
    ("pool", "model", "reference", "error", "words"),
    [
        ("pool.tsv", None, None, ConfigError, "expected --model, a checkpoint's folder"),
        ("pool.tsv", "none", None, CheckpointError, "no checkpoint folder at .*none"),
        ("pool.tsv", "one-class", None, CheckpointError, "got one of a single class"),
        ("pool.tsv", "classifier", "policy", ConfigError, "--reference is for pairs"),
        ("pairs.jsonl", "policy", None, ConfigError, "expected --reference, a checkpoint's folder"),
        ("none.tsv", "classifier", None, DataError, "none.tsv: no such file"),
    ],
)
def test_what_is_refused(
    pool: str, model: str | None, reference: str | None, error: type[Exception], words: str, place: Workplace
) -> None:
    folders = [None if name is None else place.folder / name for name in (model, reference)]
    asked = Asked(model=folders[0], reference=folders[1], beta=0.1, template="chat", max_length=64)
    with pytest.raises(error, match=words):
        acquire_from_files(
            place.folder / pool,
            [],
            place.folder / "refused.jsonl",
            asked,
            budget=5,
            seed=0,
            representation="vap",
            selector=None,
            vap=VapSettings(),
            device="cpu",
        )
    assert not (place.folder / "refused.jsonl").exists()


def test_a_curve_starts_from_an_encoder_and_not_from_a_classifier(place: Workplace, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is a trained classifier already"):
        load_encoder(place.folder / "classifier", CLASSES, seed=0, device="cpu")
    trained = load_classifier(place.folder / "classifier", device="cpu")
    base: Any = trained.base_model
    base.save_pretrained(tmp_path / "base")
    first, again, other = (load_encoder(tmp_path / "base", CLASSES, seed=seed, device="cpu") for seed in (1, 1, 2))
    weights = [dict(model.named_parameters())["classifier.weight"] for model in (first, again, other)]
    assert weights[0].equal(weights[1])
    assert not weights[0].equal(weights[2])
    body = "bert.encoder.layer.0.attention.self.query.weight"
    assert dict(first.named_parameters())[body].equal(dict(trained.named_parameters())[body])
    with pytest.raises(CheckpointError, match="expected a classifier that was trained"):
        load_classifier(tmp_path / "base", device="cpu")
