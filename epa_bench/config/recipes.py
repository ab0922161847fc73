"""What each control makes of the method it controls. `schema.Control` says what it is for."""

from fractions import Fraction
from typing import Any

from epa_bench.config.schema import Control, Method

NLL = 0.2
"""Weight of a control's NLL term where nobody gives one; `schema.Method.nll` says whose it is."""


def settings_of(control: Control, method: Method) -> dict[str, Any]:
    """The keys of the control that are not the method's, and those that must stay the method's.

    Where no weak negative is drawn, one source and one pool stand for all of them.
    """
    no_weak: dict[str, Any] = {
        "weak": [0],
        "weak_source": [method.weak_source[0]],
        "weak_pool": [method.weak_pool[0]],
        "weak_prompt": "this",
    }
    pair = {"loss": "dpo", "options": {}, "strong": [1], **no_weak}
    same: dict[str, Any] = {"loss": method.loss, "strong": list(method.strong), "weak": list(method.weak)}
    match control:
        case "learning_rate":
            # beta scales the push as the rate does.
            return {**pair, "nll": [0.0], "beta": list(method.beta), "learning_rate": _matched_rates(method)}
        case "nll":
            return pair
        case "strong_only":
            return {**same, **no_weak}
        case "weak_only":
            return {**same, "strong": [0]}
        case "own_prompt":
            return {**same, "weak_prompt": "own"}


def defaults_of(control: Control, method: Method) -> dict[str, Any]:
    """The keys that the control may give and that are not the method's where it does not."""
    return {"nll": [NLL]} if control == "nll" and 0 in method.nll else {}


def _matched_rates(method: Method) -> list[float]:
    """A rate for every point of the grid, equal ones once.

    As multiplied by hand, so that 2e-4 at 1:1:2 gives 3e-4 and not 0.00030000000000000003.
    """
    negatives = [strong + weak for strong in method.strong for weak in method.weak]
    rates = (Fraction(repr(rate)) * Fraction(2 * n, 1 + n) for rate in method.learning_rate for n in negatives)
    return [float(rate) for rate in dict.fromkeys(rates)]


def objection_to(control: Control, method: Method) -> str | None:
    """Why, somewhere on the method's grid, the control would be the method itself or have no negatives; or None."""
    needs_weak = (0 in method.weak, "it needs weak negatives, got weak 0; raise it, or take 0 out of its list")
    objections: list[tuple[bool, str]] = []
    match control:
        case "learning_rate":
            single = any(strong + weak == 1 for strong in method.strong for weak in method.weak)
            objections = [
                (
                    single,
                    "with one negative it pushes the positive as far as DPO does, the factor is 1; leave this out",
                ),
                (any(method.nll), "its NLL term pushes the positive too, which no learning rate of DPO matches"),
            ]
        case "nll":
            pass
        case "strong_only":
            objections = [
                (not any(method.weak), "it has no weak negatives to leave out"),
                (0 in method.strong, "without its weak negatives it would have none"),
            ]
        case "weak_only":
            objections = [needs_weak, (not any(method.strong), "it has no strong negatives to leave out")]
        case "own_prompt":
            objections = [needs_weak, (method.weak_prompt == "own", "it scores them so already")]
    return next((text for holds, text in objections if holds), None)
