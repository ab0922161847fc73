"""Finding a place of pydantic's in the schema and in the file."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from epa_bench.config.fields import field_names, file_location, kinds
from epa_bench.config.yaml12 import Location


class Leaf(BaseModel):
    size: int = 0


class Left(BaseModel):
    kind: Literal["left"]
    left: int
    """Named as the tag."""

    leaf: Leaf = Leaf()


class Right(BaseModel):
    kind: Literal["right"]
    only_right: int = 0


class Root(BaseModel):
    side: Annotated[Left | Right, Field(discriminator="kind")]
    named: Annotated[dict[str, Leaf], Field(min_length=1)]
    numbers: tuple[int, ...] = ()
    anything: dict[str, dict[str, Any]] = Field(default_factory=dict)
    maybe: Leaf | None = None


@pytest.mark.parametrize(
    ("location", "names"),
    [
        ((), ["side", "named", "numbers", "anything", "maybe"]),
        (("side", "left"), ["kind", "left", "leaf"]),
        (("side", "right"), ["kind", "only_right"]),
        (("side", "left", "leaf"), ["size"]),
        (("named", "x"), ["size"]),
        (("maybe",), ["size"]),
        (("named",), []),
        (("numbers",), []),
        (("anything", "x", "y"), []),
        (("unknown",), []),
        (("unknown", "below"), []),
    ],
)
def test_field_names(location: Location, names: list[str]) -> None:
    assert field_names(Root, location) == names


def test_kinds() -> None:
    assert kinds(Root, ("side",)) == ["left", "right"]


@pytest.mark.parametrize(
    ("location", "data", "expected"),
    [
        (("side", "left", "left"), {"side": {"kind": "left", "left": "x"}}, ("side", "left")),
        (("side", "left", "leaf", "size"), {"side": {"leaf": {"size": "x"}}}, ("side", "leaf", "size")),
        (("side", "right", "left"), {"side": {"kind": "right", "left": 1}}, ("side", "left")),
        (("side", "left", "left"), {"side": {"kind": "left"}}, ("side", "left")),
        (("side",), {"side": 3}, ("side",)),
        (("named", "A", "[key]"), {"named": {"A": {}}}, ("named", "A")),
        (("numbers", 1), {"numbers": [1, "x"]}, ("numbers", 1)),
        (("numbers", 0), {"numbers": "x"}, ("numbers",)),
        (("unknown",), {}, ("unknown",)),
        ((), {}, ()),
    ],
)
def test_file_location(location: Location, data: Any, expected: Location) -> None:
    assert file_location(Root, location, data) == expected
