"""From a YAML file and `--set` options to a checked `Config`; every problem is reported at once."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, to_json

from aebnas_bo.config.image_count import num_training_images
from aebnas_bo.config.schema import Config
from aebnas_bo.data.settings import AugmentationConfig
from aebnas_bo.errors import ConfigError
from aebnas_bo.space.auto import auto_declaration
from aebnas_bo.space.consistency import space_problems
from aebnas_bo.space.declaration import NetworkSpaceDeclaration
from aebnas_bo.space.narrowing import FORMS, unfold
from aebnas_bo.space.presets import AUTO, PRESETS, read_preset

Tree = dict[str, object]

NATIVE_SIZES = {"digits": 8, "cifar10": 32, "cifar100": 32, "svhn": 32}  # pixels, of data sets with a fixed size
GREY = ("digits",)
PATHS = (("data", "root"), ("estimation", "latency_table"))  # that count from the configuration file
EPOCHS = {"supernet": (300_000, 15, 100), "final_training": (800_000, 60, 200)}  # images seen, least and most epochs
OF_SPACE = (*NetworkSpaceDeclaration.model_fields, "preset", *FORMS)
UNFOLDED = ("space", "space.preset", *(f"space.{form}" for form in FORMS))


def load_config(path: Path | None, settings: Sequence[str] = (), method: Path | None = None) -> Config:
    """Read a configuration.

    Args:
        path: YAML file that holds what differs from the defaults; `None` for the embedded default (digits).
        settings: `section.key=value` strings, applied after the files.
        method: YAML file of a method, laid over the first: how it encodes, trains, tunes and searches.

    Returns:
        The checked configuration, all defaults filled in.

    Raises:
        ConfigError: With one sentence per problem, each beginning with the setting's dotted path.
    """
    problems: list[str] = []
    tree = _read_file(path) if path is not None else {}
    if method is not None:
        _lay_over(tree, _read_file(method))
    # The preset must be laid out before `--set space.stages.0.widths=[8,16]` can reach into it.
    # So must `data` and `search`, which the preset `auto` depends on.
    within_space = [setting for setting in settings if _is_within_space(setting)]
    for setting in settings:
        if setting not in within_space:
            _apply_setting(tree, setting, problems)
    _resolve_space(tree, problems)
    for setting in within_space:
        _apply_setting(tree, setting, problems)
    _suit_epochs(tree)
    _complete_augmentation(tree)
    config = _validate(tree, problems)
    if problems or config is None:
        raise ConfigError(problems)
    return config


def parse_config(text: str, origin: str, settings: Sequence[str] = ()) -> Config:
    """Check a configuration that was written by `dump_config`.

    Args:
        text: What was written.
        origin: Where it stands, for messages.
        settings: `section.key=value` strings to apply to it.

    Raises:
        ConfigError: If it does not fit this version's settings.
    """
    problems: list[str] = []
    tree = _as_tree(_parse(text, origin), origin)
    for setting in settings:
        _apply_setting(tree, setting, problems)
    _complete_augmentation(tree)
    config = _validate(tree, problems)
    if problems or config is None:
        raise ConfigError([f"{origin}: {problem}" for problem in problems])
    return config


def dump_config(config: Config) -> str:
    """Return the whole configuration as YAML, defaults written out."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def is_declaration(path: Path) -> bool:
    """Say whether a YAML file holds the declaration of a space alone, not a whole configuration.

    Args:
        path: The file.

    Raises:
        ConfigError: If it cannot be read.
    """
    names = _read_tree(path).keys()
    return not names.isdisjoint(OF_SPACE) and names.isdisjoint(Config.model_fields)


def _read_file(path: Path) -> Tree:
    tree = _read_tree(path)
    if isinstance(tree.get("space"), str):
        tree["space"] = _named_space(str(tree["space"]), path.parent)
    for name, key in PATHS:
        section = tree.get(name)
        if isinstance(section, dict) and isinstance(section.get(key), str):
            section[key] = str((path.parent / Path(section[key]).expanduser()).resolve())
    return tree


def _read_tree(path: Path) -> Tree:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read ({reason}); give a YAML file") from error
    return _as_tree(_parse(text, str(path)), str(path))


def _named_space(name: str, folder: Path) -> Tree:
    """Return what `space: NAME` stands for: a preset or, with the ending of YAML, the declaration in a file."""
    if not name.endswith((".yaml", ".yml")):
        return {"preset": name}
    declaration = _read_tree(folder / Path(name).expanduser())
    # the stages of a preset must not stand in for those of a file that forgot them
    return declaration if "preset" in declaration else {"stages": [], **declaration}


def _lay_over(tree: Tree, other: Tree) -> None:
    """Put another tree's values in the place of a tree's own, section by section."""
    for key, value in other.items():
        own = tree.get(key)
        if isinstance(own, dict) and isinstance(value, dict):
            _lay_over(own, value)
        else:
            tree[key] = value


def _parse(text: str, origin: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin}: not valid YAML: {' '.join(str(error).split())}") from error


def _as_tree(value: object, origin: str) -> Tree:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ConfigError(f"{origin}: expected sections such as 'data:' and 'search:', got {type(value).__name__}")
    return value


def _apply_setting(tree: Tree, setting: str, problems: list[str]) -> None:
    path, separator, text = setting.partition("=")
    keys = path.strip().split(".")
    if not separator or not all(keys):
        problems.append(f"--set {setting}: expected section.key=value, for example search.budget=50")
        return
    try:
        value = json.loads(text)
    except ValueError:
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
    node: object = tree
    for key in keys[:-1]:
        if isinstance(node, dict):
            if node.get(key) is None:  # absent, or null in a stored configuration
                node[key] = {}
            node = node[key]
        elif isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            node = node[int(key)]
        else:
            node = None
    if isinstance(node, dict):
        node[keys[-1]] = value
    elif isinstance(node, list) and keys[-1].isdecimal() and int(keys[-1]) < len(node):
        node[int(keys[-1])] = value
    else:
        problems.append(f"{path.strip()}: no such setting (--set {setting})")


def _is_within_space(setting: str) -> bool:
    """Say whether a setting changes a declaration that must be complete first."""
    path = setting.partition("=")[0].strip()
    return path.startswith("space.") and path not in UNFOLDED


def _resolve_space(tree: Tree, problems: list[str]) -> None:
    """Replace `space: {preset: NAME, ...}` by the preset with the given keys laid over it."""
    default = _default_preset(tree)
    space, names = tree.get("space", {"preset": default}), (AUTO, *PRESETS)
    if isinstance(space, str):
        space = _named_space(space, Path())
    if not isinstance(space, dict):
        problems.append(
            f"space: expected 'preset: NAME' ({', '.join(names)}), a file such as mine.yaml or a declaration, "
            f"got {space!r}"
        )
        space = {"preset": default}
    if "preset" in space or "stages" not in space:
        name = space.get("preset", default)
        if name not in names:
            problems.append(
                f"space.preset: must be one of {', '.join(names)}, got {name!r}{_closest(str(name), names)}"
            )
            name = default
        preset = _auto_space(tree) if name == AUTO else read_preset(str(name))
        space = {**preset, **{key: value for key, value in space.items() if key != "preset"}}
    tree["space"] = unfolded = {str(key): value for key, value in space.items()}
    problems += unfold(unfolded)


def _default_preset(tree: Tree) -> str:
    """Return the preset of a configuration that names none: `auto`, except for the embedded digits."""
    return "tiny" if _data_setting(tree, "dataset") in {None, "digits"} else AUTO


def _auto_space(tree: Tree) -> Tree:
    """Build the space of the preset `auto`; settings of a wrong type, which are reported later, count as absent."""
    dataset, size = _data_setting(tree, "dataset") or "digits", _data_setting(tree, "image_size")
    channels, limit = _data_setting(tree, "channels"), _section(tree, "search").get("max_average_macs")
    is_size = isinstance(size, int) and not isinstance(size, bool) and size >= 4
    is_limit = isinstance(limit, int | float) and not isinstance(limit, bool) and 0 < limit < math.inf
    return auto_declaration(
        int(cast(int, size)) if is_size else NATIVE_SIZES.get(str(dataset), 32),
        channels if channels in (1, 3) else 1 if dataset in GREY else 3,
        float(cast(float, limit)) if is_limit else None,
    )


def _suit_epochs(tree: Tree) -> None:
    """Fill in epochs that nobody set, by the number of training images; those of the embedded digits are defaults."""
    dataset, root = _data_setting(tree, "dataset"), _data_setting(tree, "root")
    limits = [_data_setting(tree, name) for name in ("max_train_images", "max_classes")]
    if not isinstance(dataset, str) or any(isinstance(limit, bool) for limit in limits):
        return
    max_images, max_classes = (limit if isinstance(limit, int) and limit > 0 else None for limit in limits)
    unset = [name for name in EPOCHS if "epochs" not in _section(tree, name)]
    if not unset:
        return
    place = Path(root).expanduser() if isinstance(root, str) else None
    count = num_training_images(dataset, place, max_images=max_images, max_classes=max_classes)
    if count is None:
        return
    for name in unset:
        images, least, most = EPOCHS[name]
        tree[name] = {**_section(tree, name), "epochs": min(max(round(images / count), least), most)}


def _complete_augmentation(tree: Tree) -> None:
    """Fill in what the augmentation of a training leaves out: the settings of the study's section."""
    for name in ("supernet", "final_training"):
        own = _section(tree, name).get("augmentation")
        if isinstance(own, dict):
            tree[name] = {**_section(tree, name), "augmentation": {**_section(tree, "augmentation"), **own}}


def _section(tree: Tree, name: str) -> Tree:
    section = tree.get(name)
    return section if isinstance(section, dict) else {}


def _data_setting(tree: Tree, name: str) -> object:
    return _section(tree, "data").get(name)


def _validate(tree: Tree, problems: list[str]) -> Config | None:
    try:
        # JSON mode: strict about types, yet lists may stand for tuples, as in any YAML file.
        text = to_json(tree, inf_nan_mode="constants", bytes_mode="base64", fallback=str)
        return Config.model_validate_json(text)
    except ValidationError as error:
        found = [sentence for details in error.errors() for sentence in _sentences(details)]
        # rules between fields, which are not looked at where single ones are wrong
        found += [f"space.{problem}" for problem in space_problems(_section(tree, "space"))]
        problems += dict.fromkeys(found)
    return None


def _sentences(details: ErrorDetails) -> list[str]:
    if details["type"] == "fields":  # several, each with its field
        return [".".join(map(str, (*details["loc"], line))) for line in details["msg"].splitlines()]
    if details["type"] == "too_short" and len(details["input"]) >= details["ctx"]["min_length"]:
        return []  # only because wrong entries, which are reported, do not count
    return [_sentence(details)]


def _sentence(details: ErrorDetails) -> str:
    path = ".".join(str(part) for part in details["loc"]) or "configuration"
    value = details["input"]
    if details["type"] == "extra_forbidden":
        return f"{path}: no such setting{_meant(details['loc'])}"
    if details["type"] == "missing":
        return f"{path}: is missing"
    if details["type"] == "finite_number":
        return f"{path}: must be a finite number, got {value}"
    if details["type"] == "too_short" and isinstance(value, list):
        return f"{path}: needs at least {details['ctx']['min_length']} entries, got {len(value)}"
    message = details["msg"].removeprefix("Value error, ")
    if isinstance(value, dict | list) and details["type"] == "value_error":
        return f"{path}: {message}"
    return f"{path}: {message[0].lower()}{message[1:]}, got {value!r}{_yaml_trap(value, details['type'])}"


def _meant(location: tuple[int | str, ...]) -> str:
    """Return which setting an unknown one may stand for."""
    name = str(location[-1])
    if name in AugmentationConfig.model_fields:
        return f"; did you mean augmentation.{name}?"
    return _closest(name, _siblings(location[:-1]))


def _yaml_trap(value: object, error_type: str) -> str:
    if isinstance(value, str) and error_type in {"float_type", "int_type"}:
        try:
            number = float(value)
        except ValueError:
            return ""
        return f" (YAML reads {value} as text: write {number!r})"
    if isinstance(value, bool) and error_type in {"string_type", "literal_error"}:
        return " (YAML reads yes, no, on and off as true or false: put quotes around it)"
    return ""


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    """Return the settings that exist where an unknown one was given."""
    model: type[BaseModel] = Config
    for part in location:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        if field is None:
            return []
        candidates = [field.annotation, *get_args(field.annotation)]
        nested = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if not nested:
            return []
        model = nested[0]
    return list(model.model_fields)


def _closest(name: str, names: Sequence[str]) -> str:
    matches = difflib.get_close_matches(name, names, n=1)
    if matches:
        return f"; did you mean {matches[0]}?"
    return f"; there is {', '.join(names)}" if names else ""
