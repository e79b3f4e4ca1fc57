import re
from pathlib import Path

import pytest
import yaml

from aebnas_bo.config.yaml_reader import (
    MOST_BYTES,
    MOST_LEVELS,
    MOST_VALUES,
    YamlSyntaxError,
    read_option,
    read_yaml,
    read_yaml_file,
    write_yaml,
)
from aebnas_bo.errors import ConfigError


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_yaml(text, "file")
    assert len(str(caught.value)) < 2000
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3), ("-0", 0), ("1_000", 1000), ("0x1F", 31), ("0b11", 3), ("1e-3", 0.001), ("1e3", 1000.0), (".5", 0.5),
        ("-2.", -2.0), ("1.5e+3", 1500.0), (".inf", float("inf")), ("-.INF", float("-inf")), ("yes", True),
        ("Off", False), ("TRUE", True), ("", None), ("~", None), ("null", None), ("abc", "abc"), ("'3'", "3"),
        ("010", "010"), ("-010", "-010"), ("08", "08"), ("1:30", "1:30"), ("2026-13-45", "2026-13-45"),
        ("2020-01-01", "2020-01-01"), ("yEs", "yEs"), ("0x", "0x"), ("1e", "1e"), ("=", "="), ("x" * 100, "x" * 100),
    ],
)  # fmt: skip
def test_plain_scalars(text: str, value: object) -> None:
    read = read_yaml(f"a: {text}", "file")
    assert read == {"a": value}
    assert isinstance(read, dict)
    assert type(read["a"]) is type(value)


def test_keys_are_text_as_it_is_written() -> None:
    assert read_yaml("no: 1\n3: 2\n2020-01-01: 3\n~: 4\n1e3: 5\n", "file") == {
        "no": 1, "3": 2, "2020-01-01": 3, "~": 4, "1e3": 5,
    }  # fmt: skip


def test_keys_given_twice_are_named_with_their_lines_at_any_depth() -> None:
    text = "search:\n  budget: 6\n  'budget': 7\nspace:\n  stages:\n  - {widths: [1],\n     widths: [2]}\n"
    text += "search: 1\nsearch: 2\n"
    assert refusal(text).splitlines() == [
        "file: search is given 3 times, in lines 1, 8 and 9; write it once",
        "file: search.budget is given twice, in lines 2 and 3; write it once",
        "file: space.stages.0.widths is given twice, in lines 6 and 7; write it once",
    ]
    assert "a is given twice, in line 1" in refusal("{a: 1, a: 2}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: !!int abc", "line 1, column 4: a tag (!) is not supported"),
        ("a: !!binary '%'", "a tag (!)"),
        ("a: !!python/object/apply:os.getcwd []", "a tag (!)"),
        ("a: &a {b: *a}", "an alias (*) within its own anchor (&) has no end"),
        ("&a [*a]", "an alias (*) within its own anchor"),
        ("a: *b", "not valid YAML: line 1, column 4: found undefined alias"),
        ("\n" + "[" * 200, f"line 2, column {MOST_LEVELS + 1}: nested more than {MOST_LEVELS} levels deep"),
        ("- " * 200, "nested more than"),
        ("a: " + "9" * 5000, "line 1, column 4: a number of 5000 digits; expected at most 64"),
        ('a: "\\0"', "line 1, column 4: text must not contain the character NUL"),
        ('a: "\\ud800"', "half a character"),
        ("a: 1\nb: \x01", "line 2: the character U+0001 is not allowed"),
        ("[a]: 1", "a key must be text"),
        ("a: {<<: 3}", "<< takes a mapping"),
        ("a: 1\n---\nb: 2", "not valid YAML: line 2, column 1: expected a single document"),
        ("a: [1\nb: 2", "not valid YAML: line 2, column 2"),
        ("&" + "a" * 1000 + " &b 1", "not valid YAML"),
        ("x" * (MOST_BYTES + 1), "is larger than 200 kB"),
    ],
)
def test_what_configurations_must_not_have_is_refused_with_its_place(text: str, reason: str) -> None:
    assert reason in refusal(text)


def test_aliases_that_multiply_count_what_they_repeat() -> None:
    rows = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 8)}]" for n in range(1, 10)]
    assert f"more than {MOST_VALUES} values" in refusal("\n".join(["l0: &l0 [x, x]", *rows]))
    deep = "\n".join(["l0: &l0 [x]", *(f"l{n}: &l{n} [*l{n - 1}]" for n in range(1, 60))])
    assert "levels deep" in refusal(deep)


def test_an_alias_stands_for_a_copy_and_a_merge_for_defaults() -> None:
    read = read_yaml("a: &a {p: 1, q: [2]}\nb: *a\nc: {p: 3, <<: *a}\nd: {<<: [{p: 5}, *a]}", "file")
    assert read == {"a": {"p": 1, "q": [2]}, "b": {"p": 1, "q": [2]}, "c": {"p": 3, "q": [2]}, "d": {"p": 5, "q": [2]}}
    assert isinstance(read, dict)
    assert read["a"]["q"] is not read["b"]["q"]


def test_characters_that_json_writes_as_two_are_one() -> None:
    assert read_yaml('"\\ud83d\\ude00"', "file") == "😀"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[8, 16]", [8, 16]), ('{"a":1}', {"a": 1}), ("", None), ("[0-9]+_(.*)", "[0-9]+_(.*)"), ("*.png", "*.png"),
        ("a #b", "a #b"), ("#1", "#1"), ("'a #b'", "a #b"), ("@x", "@x"), ("a: b: c", "a: b: c"),
    ],
)  # fmt: skip
def test_an_option_that_is_no_yaml_is_text(text: str, value: object) -> None:
    assert read_option(text, "--set x") == value


@pytest.mark.parametrize("text", ["{a: 1, a: 2}", "!!int 3", "a\0b", "9" * 70, "[" * 50, "x" * (MOST_BYTES + 1)])
def test_an_option_has_the_limits_of_a_file(text: str) -> None:
    with pytest.raises(ConfigError, match="--set x"):
        read_option(text, "--set x")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfea\x00", "not UTF-8 text"),
        (b"a: \xe9", "not UTF-8 text"),
        (b"#" * (MOST_BYTES + 1), "is larger than 200 kB"),
        (b"\x00", "line 1: the character U+0000 is not allowed"),
        (b"a: [", "not valid YAML"),
    ],
)
def test_files_that_cannot_be_read(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(reason)) as caught:
        read_yaml_file(path)
    assert str(path) in str(caught.value)


def test_files_with_a_byte_order_mark_and_other_ends_of_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: [2,\r\n  3]\r\n")
    assert read_yaml_file(path) == {"a": 1, "b": [2, 3]}


@pytest.mark.parametrize("path", [Path("nowhere.yaml"), Path("/"), Path("a\0b"), Path("x" * 300)])
def test_paths_that_are_no_file_are_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        read_yaml_file(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text",
    ["1e3", "1e-3", "010", "08", "1:30", "1_e5", "0x1F", "yes", "null", "~", "", "=", "<<", "2020-01-01", "a: b", "# a",
     "é", "😀", "a\nb", "\x85", "\u2028", "\ufeff", "\x07", "'", " a ", "!x", "&a", "*a", "-", "x" * 500, "-.5", "NaN"],
)  # fmt: skip
def test_text_is_written_so_that_it_is_read_as_text(text: str) -> None:
    assert read_yaml(write_yaml({"a": text, "b": [text]}), "file") == {"a": text, "b": [text]}


@pytest.mark.parametrize("number", [1e-5, 1e300, 0.1, -3, 10**19, 1.0, 5e-324, float("inf")])
def test_numbers_are_written_so_that_every_reader_has_the_same(number: float) -> None:
    text = write_yaml({"a": number})
    assert read_yaml(text, "file") == yaml.safe_load(text) == {"a": number}


def test_only_the_syntax_is_a_matter_of_syntax() -> None:
    with pytest.raises(YamlSyntaxError):
        read_yaml("a: [", "file")
    for text in ("{a: 1, a: 2}", "a: !!int 3", "a: &a [*a]"):
        with pytest.raises(ConfigError) as caught:
            read_yaml(text, "file")
        assert not isinstance(caught.value, YamlSyntaxError)
