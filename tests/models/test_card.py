"""The model card: everything a reader must know, nothing of the machine, the same bytes for the same checkpoint."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from epa_bench import __version__
from epa_bench.config.schema import Training
from epa_bench.core.records import Preference, Response
from epa_bench.data.plan import data_fingerprint
from epa_bench.models.card import Trained, published_card, write_card


def rows(*sources: str) -> list[Preference]:
    return [
        Preference(prompt=f"p{i}", chosen=Response(text="a"), rejected=(Response(text="b"),), source=source)
        for i, source in enumerate(sources)
    ]


PREFERENCES = rows("/home/ann/secret plans, v2/train.jsonl, row 1", "/home/ann/secret plans, v2/train.jsonl, row 2")
ARM: dict[str, Any] = {
    "loss": "epa",
    "beta": 0.05,
    "learning_rate": 5e-7,
    "strong": 1,
    "weak": 2,
    "weak_source": "both",
    "weak_pool": "step",
    "nll": 0.1,
    "options": {"weight_weak": 0.5},
}
TRAINED = Trained(
    arm=ARM,
    settings=Training(optim="adafactor").recipe(),
    seed=3,
    reference="0123456789abcdef",
    reference_step=None,
    preferences=PREFERENCES,
    result={"loss": 0.25, "rewards/margins": 1.5},
    validation={"step": 40, "metric": "eval_loss", "value": 0.5},
)


def card(folder: Path, **changes: Any) -> str:
    write_card(folder, replace(TRAINED, **changes))
    return (folder / "README.md").read_text()


def table(text: str, section: str) -> dict[str, str]:
    _, _, rest = text.partition(f"\n## {section}\n")
    lines = [line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("| ")][2:]
    pairs = (line.strip("| ").split(" | ") for line in lines)
    return {name: value for name, value in pairs}


def test_it_states_method_data_reference_seeds_and_result(tmp_path: Path) -> None:
    text = card(tmp_path)
    method = table(text, "Method")
    assert method["loss"].startswith("epa: each positive against all its strong and weak negatives")
    assert "arXiv 2412.13862" in method["source"]
    assert method["positive : strong : weak negatives"] == "1 : 1 : 2"
    assert (method["beta"], method["learning rate"], method["weight of the added NLL"]) == ("0.05", "5e-07", "0.1")
    assert (method["weight_weak"], method["weight_strong"]) == ("0.5", "1.0")
    training = table(text, "Training")
    assert (training["seed"], training["data seed"], training["optim"]) == ("3", "3", "adafactor")
    assert table(text, "Data") == {
        "name": "train.jsonl",
        "rows": "2",
        "fingerprint": data_fingerprint(PREFERENCES),
    }
    assert table(text, "Reference") == {
        "digest": "0123456789abcdef",
        "of": "the files of the checkpoint that was given",
    }
    assert "\n# epa + 0.1 NLL, 1:1:2, beta 0.05, seed 3\n" in text
    assert table(text, "Result at the last step") == {"loss": "0.25", "rewards/margins": "1.5"}
    assert table(text, "Kept by held-out rows") == {"step": "40", "metric": "eval_loss", "value": "0.5"}
    assert table(text, "Versions")["epa-bench"] == __version__
    assert "torch" in table(text, "Versions")


def test_a_fixed_data_seed_and_no_validation(tmp_path: Path) -> None:
    text = card(tmp_path, settings=Training(data_seed=7).recipe(), validation=None)
    assert (table(text, "Training")["seed"], table(text, "Training")["data seed"]) == ("3", "7")
    assert "held-out" not in text


def test_a_pair_loss_says_nothing_of_weak_negatives(tmp_path: Path) -> None:
    arm = {name: value for name, value in ARM.items() if not name.startswith("weak") and name != "options"}
    method = table(card(tmp_path, arm={**arm, "loss": "dpo", "weak": 0}), "Method")
    assert method["positive : strong : weak negatives"] == "1 : 1 : 0"
    assert not {"weak source", "weak pool"} & method.keys()


def test_nothing_of_the_machine_is_in_it(tmp_path: Path) -> None:
    text = card(tmp_path)
    assert "/home" not in text
    assert "ann" not in text.replace("annotations", "")
    assert str(tmp_path) not in text


def test_names_of_data(tmp_path: Path) -> None:
    sources = (
        "org/set[train], row 1",
        "org/set[train], row 2",
        "data/ours.jsonl, row 1",
        "/abs/saved[train], row 4",
        "embedded task, prompt 'say, row 3'",
    )
    assert table(card(tmp_path, preferences=rows(*sources)), "Data")["name"] == (
        "org/set[train], ours.jsonl, saved[train], embedded task"
    )


def test_the_same_training_has_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert card(tmp_path / "a") == card(tmp_path / "b")


def test_the_hub_reads_its_metadata(tmp_path: Path) -> None:
    card(tmp_path)
    data: dict[str, Any] = vars(ModelCard.load(tmp_path / "README.md").data)
    assert data["library_name"] == "transformers"
    assert data["tags"] == ["epa-bench", "preference-optimization", "epa"]
    assert data.get("base_model") is None


def test_what_is_added_where_it_is_published(tmp_path: Path) -> None:
    before = card(tmp_path)
    text = published_card(tmp_path, {"sweep": "mine", "epa-bench commit": "0" * 40}, "org/base")
    assert table(text, "Provenance") == {"sweep": "mine", "epa-bench commit": "0" * 40}
    assert vars(ModelCard(text).data)["base_model"] == "org/base"
    assert table(text, "Method") == table(before, "Method")
    assert (tmp_path / "README.md").read_text() == before
