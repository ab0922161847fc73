"""Reading YAML as plain data with lines: every way in which a file can be wrong is a ConfigError that says where."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from epa_bench.config.yaml12 import Document, dump_yaml, load_document, parse_value, read_document
from epa_bench.core.errors import ConfigError


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_document(text, "sweep.yaml")
    return str(caught.value)


def test_plain_data() -> None:
    text = """\
lr: 5e-7   # a number in 1.2
flag: no
quoted: "1"
list: [1, {a: ~}]
block: |
  two
  lines
"""
    assert load_document(text, "f").data == {
        "lr": 5e-7,
        "flag": "no",
        "quoted": "1",
        "list": [1, {"a": None}],
        "block": "two\nlines\n",
    }


def test_quotes_and_blocks_are_text_whatever_they_hold() -> None:
    data = load_document("a: '5'\nb: \"true\"\nc: |-\n  null\nd: >-\n  2024-01-01\n", "f").data
    assert data == {"a": "5", "b": "true", "c": "null", "d": "2024-01-01"}


def test_every_place_knows_its_line() -> None:
    text = "\n# a comment\nname: demo\nmethods:\n  dpo:\n    beta:\n      - 0.1\n\n      - 0.3\n    loss: dpo\n"
    document = load_document(text, "f")
    assert document.lines == {
        (): 1,
        ("name",): 3,
        ("methods",): 4,
        ("methods", "dpo"): 5,
        ("methods", "dpo", "beta"): 6,
        ("methods", "dpo", "beta", 0): 7,
        ("methods", "dpo", "beta", 1): 9,
        ("methods", "dpo", "loss"): 10,
    }


@pytest.mark.parametrize(
    ("location", "where"),
    [(("a", "b"), "f:2"), (("a", "b", "c", 0), "f:2"), (("a", "x"), "f:1"), (("x",), "f:1"), ((), "f:1")],
)
def test_where_is_the_nearest_place_in_the_file(location: tuple[str | int, ...], where: str) -> None:
    assert load_document("a:\n  b: 1\n", "f").where(location) == where


def test_where_without_lines_is_the_name() -> None:
    assert Document("defaults", {}, {}).where(("a",)) == "defaults"


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("a: 1\nb: [1\nc: 2\n", "sweep.yaml:3", "not valid YAML"),
        ("a: 1\n b: 2\n", "sweep.yaml:2", "not valid YAML"),
        ("a: 1\nb: 'x\n", "sweep.yaml:3", "not valid YAML"),
        ("a:\n  b: 1\n\tc: 2\n", "sweep.yaml:3", "'\\t'"),
        ("a: 1\nb: @x\n", "sweep.yaml:2", "'@'"),
        ("a: 1\nb: \x07\n", "sweep.yaml:2", "special characters"),
        ("a: 1\nb: *no\n", "sweep.yaml:2", "alias *no"),
        ("a: 1\nb:\n  c: 2\na: 3\n", "sweep.yaml:4", "`a` is there already, on line 1"),
        ("a: {b: 1,\n  'b': 2}\n", "sweep.yaml:2", "`b` is there already"),
        ("a: 1\n5: 2\n", "sweep.yaml:2", 'write "5" in quotes'),
        ("a: 1\ntrue: 2\n", "sweep.yaml:2", 'write "true" in quotes'),
        ("a: 1\n~: 2\n", "sweep.yaml:2", "keys are text"),
        ("a: 1\n? [b]\n: 2\n", "sweep.yaml:2", "keys are text"),
        ("a: &x 1\n*x : 2\n", "sweep.yaml:2", "keys are text"),
        ("a: 1\nb: 2024-01-01\n", "sweep.yaml:2", "quote it if it is text"),
        ("a:\n  - 1\n  - .nan\n", "sweep.yaml:3", "finite"),
        ('a: 1\nb: "\\ud800"\n', "sweep.yaml:2", "surrogate"),
        ("a: 1\nb: !!python/object:os.system x\n", "sweep.yaml:2", "remove the tag tag:yaml.org,2002:python/object"),
        ("a: 1\nb: !!int '3'\n", "sweep.yaml:2", "remove the tag"),
        ("a: 1\nb: !own {c: 1}\n", "sweep.yaml:2", "remove the tag !own"),
        ("a: 1\nb: !!omap [x: 1]\n", "sweep.yaml:2", "remove the tag"),
        ("a: 1\n!!str b: 1\n", "sweep.yaml:2", "remove the tag"),
        ("a: 1\n---\nb: 2\n", "sweep.yaml:2", "second document"),
        ("a: 1\n...\nb\n", "sweep.yaml:3", "second document"),
        ("a: &x 1\nb: &x 2\n", "sweep.yaml:2", "&x is there already"),
    ],
)
def test_refusals_name_file_and_line(text: str, where: str, what: str) -> None:
    message = refusal(text)
    assert message.startswith(where + ": ")
    assert what in message


@pytest.mark.parametrize("text", ["", "# nothing\n", "- 1\n", "demo", "~", "5", "[a, b]"])
def test_root_must_be_a_mapping(text: str) -> None:
    assert refusal(text) == "sweep.yaml: expected keys and values at the top level, e.g. `name: demo`"


@pytest.mark.parametrize("text", ["a: &x\n  b: *x\n", "a: &x [*x]\n", "&x a: 1\nb: &y {c: {d: *y}}\n"])
def test_a_node_cannot_hold_itself(text: str) -> None:
    assert "names no anchor that is complete" in refusal(text)


def test_alias_is_a_copy_with_the_lines_of_its_anchor() -> None:
    document = load_document("a: &shared\n  beta: [1, 2]\nb: *shared\n", "f")
    assert document.data["b"] == document.data["a"] == {"beta": [1, 2]}
    document.data["b"]["beta"].append(3)
    assert document.data["a"] == {"beta": [1, 2]}
    assert document.where(("b",)) == "f:3"
    assert document.where(("b", "beta")) == "f:2"


def test_merge_keys_of_yaml_1_1_are_ordinary_keys() -> None:
    assert load_document("a: &x {k: 1}\nb:\n  <<: *x\n", "f").data["b"] == {"<<": {"k": 1}}


def test_version_directive_does_not_bring_yaml_1_1_back() -> None:
    assert load_document("%YAML 1.1\n---\na: no\nb: 010\n", "f").data == {"a": "no", "b": 10}


def test_aliases_that_multiply_are_refused() -> None:
    """Ten levels of ten: 10**10 values from eleven lines."""
    lines = ["a0: &a0 [" + ", ".join("x" * 10) + "]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 11)]
    assert "aliases that multiply" in refusal("\n".join(lines))


@pytest.mark.parametrize("depth", [50, 5000])
def test_deep_nesting_is_refused(depth: int) -> None:
    message = refusal("a: 1\nb: " + "[" * depth + "]" * depth)
    assert message.startswith("sweep.yaml:2: nested too deeply")


def test_deep_nesting_through_aliases_is_refused() -> None:
    chain = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 100)]
    assert "nested too deeply" in refusal("\n".join(chain))


def test_fifty_levels_are_read() -> None:
    data: Any = load_document("b: " + "[" * 49 + "x" + "]" * 49, "f").data["b"]
    for _ in range(49):
        (data,) = data
    assert data == "x"


def test_read_document(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: demo\r\nb: 1\r\n")
    document = read_document(path)
    assert document.data == {"name": "demo", "b": 1}
    assert document.where(("b",)) == f"{path}:2"


def test_unreadable_files_are_config_errors(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff")
    for path in (tmp_path / "absent.yaml", tmp_path, tmp_path / "latin.yaml"):
        with pytest.raises(ConfigError, match=f"cannot read {path}"):
            read_document(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5e-7", 5e-7),
        ("[1, 2]", [1, 2]),
        ("{a: 1}", {"a": 1}),
        ("", None),
        ("a=b", "a=b"),
        ("'5'", "5"),
        ("plain text", "plain text"),
    ],
)
def test_parse_value(text: str, value: object) -> None:
    assert parse_value(text, "--set x") == value


@pytest.mark.parametrize("text", ["[1", "2024-01-01", "!!int 3", "a: b: c", "---\n1\n---\n2"])
def test_bad_values_name_the_override_without_a_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--set x=y: "):
        parse_value(text, "--set x=y")


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXT, below, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXT, PLAIN, max_size=4))
@example({"e": ".5e3", "line": "a\u2028b", "next": "\x85", "long": "x y " * 50, "k" * 200: "no", "": "", "~": "<<"})
def test_what_is_written_is_read_back(data: dict[str, Any]) -> None:
    assert load_document(dump_yaml(data), "f").data == data


def test_written_keys_keep_their_order() -> None:
    text = dump_yaml({"name": "demo", "beta": [0.1, 5e-7], "a": {"z": 1, "b": True}})
    assert text == "name: demo\nbeta:\n- 0.1\n- 5e-07\na:\n  z: 1\n  b: true\n"


@given(st.text("ab01.-:[]{}#&*!|>'\"%@`?,~<=\n\t \\e\x00\x85\u2028", max_size=60))
def test_no_text_leads_to_another_error(text: str) -> None:
    try:
        document = load_document(text, "f")
    except ConfigError:
        return
    assert load_document(dump_yaml(document.data), "f").data == document.data
