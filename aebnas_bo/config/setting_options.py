"""Application of `section.key=value` options to a configuration before validation."""

from __future__ import annotations

from collections.abc import Sequence

from aebnas_bo.config.problems import cut, printable
from aebnas_bo.config.yaml_reader import MOST_LEVELS, read_option
from aebnas_bo.errors import ConfigError

Tree = dict[str, object]

LONGEST_POSITION = 4  # digits of a list index


def apply_options(tree: Tree, options: Sequence[str], problems: list[str]) -> None:
    """Set the values of options in a tree, in place.

    Args:
        tree: The configuration from the files.
        options: `section.key=value` strings; entries of lists are counted from 0 (`space.stages.0.widths=[8, 16]`).
        problems: Receives one sentence per option that cannot be applied.
    """
    for option in options:
        _apply(tree, option, problems)


def option_path(option: str) -> str:
    """Return the dotted path that an option names."""
    return option.partition("=")[0].strip()


def _apply(tree: Tree, option: str, problems: list[str]) -> None:
    path, separator, text = option.partition("=")
    keys, name = path.strip().split("."), f"--set {cut(printable(option))}"
    if not separator or not all(keys) or len(keys) > MOST_LEVELS:
        problems.append(f"{name}: expected section.key=value, for example search.budget=50")
        return
    try:
        option.encode("utf-8")
        value = read_option(text, name)
    except UnicodeEncodeError:
        problems.append(f"{name}: is not UTF-8 text")
        return
    except ConfigError as error:
        problems += error.problems
        return
    node: object = tree
    for key in keys[:-1]:
        node = _child(node, key)
    if isinstance(node, dict):
        node[keys[-1]] = value
    elif isinstance(node, list) and (position := _position(keys[-1], node)) is not None:
        node[position] = value
    else:
        problems.append(f"{cut(printable(path.strip()))}: no such setting ({name})")


def _child(node: object, key: str) -> object:
    """Return the child of a node; a section that is missing or null becomes an empty one."""
    if isinstance(node, dict):
        if node.get(key) is None:
            node[key] = {}
        return node[key]
    if isinstance(node, list) and (position := _position(key, node)) is not None:
        return node[position]
    return None


def _position(key: str, entries: list[object]) -> int | None:
    """Return the list index that a key names, or `None` if it is not an index."""
    is_number = key.isdecimal() and len(key) <= LONGEST_POSITION
    return int(key) if is_number and int(key) < len(entries) else None
