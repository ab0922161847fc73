"""Cells of trainings: what they share, and what each has of its own."""

from epa_bench.config.yaml12 import read_document
from epa_bench.pipeline.run import load_cells
from epa_bench.suites.registry import registry, sweep_path


def test_every_seed_has_a_plan_and_a_training_of_its_own() -> None:
    """Unless the data seed fixes the plan for all of them."""
    for overrides, plans in (([], 3), (["training.data_seed=1"], 1)):
        _, cells = load_cells(read_document(sweep_path("ci")), overrides, registry())
        (dpo,) = (arm for arm in cells.arms if arm.method == "dpo")
        assert len({cells.plan(dpo, seed).digest for seed in dpo.seeds}) == plans
        trained = {c.cell.digest for c in cells.checkpoints if c.cell is not None and c.arm == dpo}
        assert len(trained) == 3


def test_arms_share_the_order_of_the_data_but_not_the_plan() -> None:
    _, cells = load_cells(read_document(sweep_path("ci")), [], registry())
    dpo, epa = (cells.plan(arm, 1) for arm in cells.arms)
    assert dpo.digest != epa.digest
    assert dpo.config["data_seed"] == epa.config["data_seed"]
