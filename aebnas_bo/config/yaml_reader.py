"""YAML reader for plain mappings, lists and scalars of limited size; errors state the line.

It reads a subset of YAML: no tags, duplicate keys, dates, or numbers to the base 8 or 60. `1e-3` is a number, keys are
text as written, and an alias stands for a copy, which counts towards the limits.
"""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from aebnas_bo.config.problems import config_error, cut, printable
from aebnas_bo.errors import ConfigError
from aebnas_bo.storage.regular_files import read_regular

if TYPE_CHECKING:
    from yaml._yaml import Mark as CMark

MOST_BYTES = 200_000
MOST_VALUES = 20_000  # values in a file, including those repeated by aliases
MOST_LEVELS = 32
LONGEST_NUMBER = 64  # characters
MERGE = "<<"

NULLS = {"", "~", "null", "Null", "NULL"}
BOOLEANS = {word: word in {"yes", "true", "on"} for word in ("yes", "no", "true", "false", "on", "off")}
INTEGER = re.compile(r"[-+]?(0b[01][01_]*|0x[0-9a-fA-F][0-9a-fA-F_]*|0|[1-9][0-9_]*)\Z")
FLOAT = re.compile(r"(?=.*[.eE])[-+]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?\Z")
NON_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")


class YamlSyntaxError(ConfigError):
    """Raised if a text is not YAML."""


def read_yaml(text: str, origin: str) -> object:
    """Parse a YAML text into `dict` with text keys, `list`, `str`, `int`, `float`, `bool` or `None`.

    Args:
        text: The text.
        origin: Name of the file, for messages.

    Raises:
        YamlSyntaxError: If it is not YAML.
        ConfigError: If it has duplicate keys (all are listed), an alias within its own anchor, a tag, or more than
            `MOST_BYTES` bytes, `MOST_VALUES` values or `MOST_LEVELS` levels.
    """
    return _Document(text, origin).value()


def read_option(text: str, origin: str) -> object:
    """Parse the value of a `--set` option: as in a file, but invalid YAML is text and there are no comments.

    Args:
        text: Text after `=`.
        origin: The option, for messages.

    Raises:
        ConfigError: See `read_yaml`; syntax errors are not raised.
    """
    document = _Document(text, origin)
    try:
        value = document.value()
    except YamlSyntaxError:
        return text
    return text if "#" in text[document.end :] else value


def read_yaml_file(path: Path) -> object:
    """Parse a YAML file.

    Args:
        path: The file, UTF-8 with or without a byte order mark.

    Raises:
        ConfigError: If it cannot be read; see also `read_yaml`.
    """
    return read_yaml(yaml_text(path), printable(str(path)))


def yaml_text(path: Path) -> str:
    """Return the text of a YAML file.

    Args:
        path: The file, UTF-8 with or without a byte order mark.

    Raises:
        ConfigError: If it cannot be read.
    """
    name = printable(str(path))
    try:
        return read_regular(path, MOST_BYTES).decode("utf-8-sig")
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise _too_large(name) from error
        raise ConfigError(f"{name}: cannot be read ({error.strerror}); give a YAML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: cannot be read (not UTF-8 text); save it as UTF-8") from error
    except ValueError as error:  # a NUL in the path
        raise ConfigError(f"{name}: cannot be read ({error}); give a YAML file") from error


def _too_large(origin: str) -> ConfigError:
    return ConfigError(f"{origin}: is larger than {MOST_BYTES // 1000} kB; a configuration is a few kB of YAML")


class _RefusedError(Exception):
    """Raised for valid YAML that configurations must not contain; the message begins with its position."""

    def __init__(self, problem: str, where: yaml.Node | yaml.Event) -> None:
        super().__init__(f"{_place(where.start_mark)}{problem}")


class _Composer(yaml.BaseLoader):
    """Composes the nodes of a document within limits."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._level = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None) is not None:
            raise _RefusedError("a tag (!) is not supported; leave it out, or put quotes around a text", event)
        if self._level == MOST_LEVELS:
            raise _RefusedError(f"nested more than {MOST_LEVELS} levels deep; a configuration has seven", event)
        self._level += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self._level -= 1
        return node


class _Document:
    """Conversion of a text to values, which collects duplicate keys."""

    def __init__(self, text: str, origin: str) -> None:
        self.text, self.origin, self.end = text, origin, 0
        self._twice: list[tuple[int, str]] = []  # first line, sentence
        self._num_values = 0
        self._open: list[yaml.Node] = []

    def value(self) -> object:
        if len(self.text) > MOST_BYTES:
            raise _too_large(self.origin)
        try:
            node = _Composer(self.text).get_single_node()
            self.end = 0 if node is None else node.end_mark.index
            value = None if node is None else self._value(node, "")
        except _RefusedError as error:
            raise config_error([f"{self.origin}: {error}"]) from error
        except yaml.reader.ReaderError as error:
            line, code = self.text.count("\n", 0, error.position) + 1, ord(self.text[error.position])
            raise config_error([f"{self.origin}: line {line}: the character U+{code:04X} is not allowed"]) from error
        except yaml.YAMLError as error:
            (problem,) = config_error([f"{self.origin}: not valid YAML: {_sentence(error)}"]).problems
            raise YamlSyntaxError(problem) from error
        if self._twice:
            raise config_error([f"{self.origin}: {sentence}" for _, sentence in sorted(self._twice)])
        return value

    def _value(self, node: yaml.Node, path: str) -> object:
        self._num_values += 1
        if self._num_values > MOST_VALUES:
            raise _RefusedError(f"more than {MOST_VALUES} values; a configuration has a few hundred", node)
        if isinstance(node, yaml.ScalarNode):
            return _text(node) if node.style is not None else _plain(node)
        if node in self._open:
            raise _RefusedError("an alias (*) within its own anchor (&) has no end", node)
        if len(self._open) == MOST_LEVELS:
            raise _RefusedError(f"nested more than {MOST_LEVELS} levels deep; a configuration has seven", node)
        self._open.append(node)
        value = self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._list(node, path)
        self._open.pop()
        return value

    def _list(self, node: yaml.Node, path: str) -> list[object]:
        return [self._value(child, _below(path, str(number))) for number, child in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, object]:
        values: dict[str, object] = {}
        merged: dict[str, object] = {}
        lines: dict[str, list[int]] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _RefusedError("a key must be text, not a list or a mapping", key_node)
            key = _text(key_node)
            lines.setdefault(key, []).append(key_node.start_mark.line + 1)
            value = self._value(value_node, _below(path, key))
            if key == MERGE and key_node.style is None:
                merged = _merged(value, key_node)
            else:
                values[key] = value
        for key, found in lines.items():
            if len(found) > 1:
                name = cut(printable(_below(path, key)))
                sentence = f"{name} is given {_times(len(found))}, {_in_lines(found)}; write it once"
                self._twice.append((found[0], sentence))
        return {**merged, **values}


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _merged(value: object, where: yaml.Node) -> dict[str, object]:
    """Return the values that `<<` merges into a mapping: those of one or more mappings, of which the first wins."""
    merged: dict[str, object] = {}
    for one in reversed(value if isinstance(value, list) else [value]):
        if not isinstance(one, dict):
            raise _RefusedError("<< takes a mapping or a list of mappings", where)
        merged |= one
    return merged


def _sentence(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        context = f"{error.context}: " if error.context else ""
        return f"{_place(error.problem_mark)}{context}{error.problem}"
    return str(error)


def _place(mark: yaml.Mark | CMark | None) -> str:
    return "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count} times"


def _in_lines(lines: list[int]) -> str:
    *others, last = (str(line) for line in dict.fromkeys(lines))
    return f"in lines {', '.join(others)} and {last}" if others else f"in line {last}"


def _text(node: yaml.ScalarNode) -> str:
    text: str = node.value
    if "\0" in text:
        raise _RefusedError("text must not contain the character NUL", node)
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")  # JSON writes some characters as two
    except UnicodeDecodeError:
        problem = "half a character; \\ud800 to \\udfff stand in pairs"
        raise _RefusedError(problem, node) from None


def _plain(node: yaml.ScalarNode) -> object:
    """Return the value of a scalar without quotes."""
    text = _text(node)
    if text in NULLS:
        return None
    if text.lower() in BOOLEANS and text in {text.lower(), text.capitalize(), text.upper()}:
        return BOOLEANS[text.lower()]
    if len(text) > LONGEST_NUMBER:
        if text.lstrip("-+").isdecimal():
            problem = f"a number of {len(text)} digits; expected at most {LONGEST_NUMBER}, or quotes around a text"
            raise _RefusedError(problem, node)
        return text
    if INTEGER.match(text):
        return int(text.replace("_", ""), 0)
    if FLOAT.match(text):
        return float(text.replace("_", ""))
    return float(text.replace(".", "", 1)) if NON_FINITE.match(text) else text


class _Dumper(yaml.SafeDumper):
    """Quotes every text that this reader would parse as a number, and escapes special characters."""


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _write_text)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+.0123456789"))


def write_yaml(value: object) -> str:
    """Return YAML that `read_yaml` reads as the same value; mappings keep their order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
