"""Loading of a YAML file and `--set` options into a validated `Config`; all problems are reported together."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar, cast

from pydantic import ValidationError
from pydantic_core import to_json

from aebnas_bo.config.image_count import num_training_images
from aebnas_bo.config.preset_files import read_preset
from aebnas_bo.config.problems import config_error, shown
from aebnas_bo.config.schema import Config, problems_between, problems_of_latencies
from aebnas_bo.config.setting_options import apply_options, option_path
from aebnas_bo.config.validation_messages import closest, sentences
from aebnas_bo.config.yaml_reader import read_yaml, read_yaml_file, write_yaml
from aebnas_bo.errors import ConfigError
from aebnas_bo.estimation.settings import EstimationConfig
from aebnas_bo.search.settings import SearchConfig
from aebnas_bo.space.auto import auto_declaration
from aebnas_bo.space.consistency import OF_STAGES, space_problems
from aebnas_bo.space.declaration import NetworkSpaceDeclaration
from aebnas_bo.space.narrowing import FORMS, unfold
from aebnas_bo.space.presets import AUTO, PRESETS
from aebnas_bo.storage.frozen_model import FrozenModel
from aebnas_bo.supernet.settings import SupernetConfig
from aebnas_bo.training.settings import FinalTrainingConfig

Tree = dict[str, object]
Checked = TypeVar("Checked", bound=FrozenModel)

NATIVE_SIZES = {"digits": 8, "cifar10": 32, "cifar100": 32, "svhn": 32}  # pixels, for data sets with a fixed size
GREY = ("digits",)
WEIGHTS = "space.backbone.weights"
PATHS = (("data", "root"), ("estimation", "latency_table"))  # resolved from the folder of the configuration file
EPOCHS = {"supernet": (300_000, 15, 100), "final_training": (800_000, 60, 200)}  # images, minimum and maximum epochs
EPOCHS_OF_BRANCHES = {"supernet": (100_000, 2, 30), "final_training": (200_000, 4, 40)}  # on a given backbone
BRANCH_DEFAULTS: Tree = {"start": "supernet", "muon_learning_rate": None, "batchnorm_bias_rate": 1.0}
OF_SPACE = (*NetworkSpaceDeclaration.model_fields, "preset", *FORMS)
LONGEST_NAME = 255  # bytes of a file name, on nearly all systems
WITH_BACKBONE: Tree = {**OF_STAGES, "resolutions": [], "branch_stride": 2, "exits": []}
"""Fields of a space with a given backbone, before its points are found."""
UNFOLDED = ("space", "space.preset", *(f"space.{form}" for form in FORMS))


def load_config(path: Path | None, settings: Sequence[str] = (), method: Path | None = None) -> Config:
    """Read a configuration.

    Args:
        path: YAML file with the settings that differ from the defaults; `None` for the embedded default (digits).
        settings: `section.key=value` strings, applied after the files.
        method: YAML file of a method, whose settings override those of the first file.

    Returns:
        The validated configuration with all defaults.

    Raises:
        ConfigError: With one sentence per problem, each beginning with the setting's dotted path.
    """
    problems: list[str] = []
    tree = _read_file(path, problems) if path is not None else {}
    if method is not None:
        _lay_over(tree, _read_file(method, problems))
    # Expand the preset first, so that `--set space.stages.0.widths=[8,16]` can be applied to it.
    # Apply options of `data` and `search` before, because the preset `auto` depends on them.
    within_space = [setting for setting in settings if _is_within_space(setting)]
    apply_options(tree, [setting for setting in settings if setting not in within_space], problems)
    _anchor_paths(tree, problems)
    _resolve_space(tree, problems)
    apply_options(tree, within_space, problems)
    _anchor_weights(tree, problems)
    _complete_augmentation(tree)
    _set_branch_defaults(tree)
    config = _validate(tree, problems)
    if problems or config is None:
        raise config_error(problems)
    epochs = _suitable_epochs(config, tree)  # last, because it lists the images
    sections = {name: getattr(config, name).model_copy(update={"epochs": count}) for name, count in epochs.items()}
    return config.model_copy(update=sections)


def parse_config(text: str, origin: str, settings: Sequence[str] = ()) -> Config:
    """Parse a configuration written by `dump_config`.

    Args:
        text: Output of `dump_config`.
        origin: Name of the file, for messages.
        settings: `section.key=value` strings to apply to it.

    Raises:
        ConfigError: If it does not match the settings of this version.
    """
    problems: list[str] = []
    tree = _as_tree(read_yaml(text, origin), origin)
    if settings:
        apply_options(tree, settings, problems)
        _anchor_paths(tree, problems)
        _anchor_weights(tree, problems)
    _complete_augmentation(tree)
    _set_branch_defaults(tree)
    config = _validate(tree, problems)
    if problems or config is None:
        raise config_error([f"{origin}: {problem}" for problem in problems])
    return config


def dump_config(config: Config) -> str:
    """Return the configuration as YAML, including defaults."""
    return write_yaml(config.model_dump(mode="json"))


def is_declaration(path: Path) -> bool:
    """Return whether a YAML file holds only the declaration of a space, not a configuration.

    Args:
        path: The file.

    Raises:
        ConfigError: If it cannot be read.
    """
    names = _read_tree(path).keys()
    return not names.isdisjoint(OF_SPACE) and names.isdisjoint(Config.model_fields)


def _read_file(path: Path, problems: list[str]) -> Tree:
    tree = _read_tree(path)
    if isinstance(tree.get("space"), str):
        tree["space"] = _named_space(str(tree["space"]), path.parent, problems)
    weights = _weights_path(tree)
    if weights is not None:
        weights["weights"] = str((path.parent / _without_tilde(str(weights["weights"]), WEIGHTS, problems)).resolve())
    for name, key in PATHS:
        section = tree.get(name)
        if isinstance(section, dict) and isinstance(section.get(key), str):
            place = _without_tilde(section[key], f"{name}.{key}", problems)
            section[key] = str((path.parent / place).resolve())
    return tree


def _read_tree(path: Path) -> Tree:
    return _as_tree(read_yaml_file(path), str(path))


def _anchor_paths(tree: Tree, problems: list[str]) -> None:
    """Make paths absolute; paths in options are relative to the current folder, which may differ on resuming."""
    for name, key in PATHS:
        section = tree.get(name)
        if isinstance(section, dict) and isinstance(section.get(key), str):
            section[key] = os.path.abspath(_without_tilde(section[key], f"{name}.{key}", problems))


def _anchor_weights(tree: Tree, problems: list[str]) -> None:
    """Make the path of the weights of a given backbone absolute, likewise."""
    weights = _weights_path(tree)
    if weights is not None:
        weights["weights"] = os.path.abspath(_without_tilde(str(weights["weights"]), WEIGHTS, problems))


def _weights_path(tree: Tree) -> Tree | None:
    """Return the section of a given backbone if it names a file of weights."""
    backbone = _section(tree, "space").get("backbone")
    return backbone if isinstance(backbone, dict) and isinstance(backbone.get("weights"), str) else None


def _without_tilde(text: str, setting: str, problems: list[str]) -> Path:
    """Return a path with `~` expanded."""
    if any(len(name.encode()) > LONGEST_NAME for name in text.split("/")):
        problems.append(f"{setting}: expected file names of at most {LONGEST_NAME} bytes, got {shown(text)}")
        return Path()
    try:
        return Path(text).expanduser()
    except RuntimeError:
        problems.append(f"{setting}: ~ in {shown(text)} cannot be expanded without a home folder; write the full path")
        return Path()


def _named_space(name: str, folder: Path, problems: list[str]) -> Tree:
    """Return the space that `space: NAME` names: a preset or, with a YAML suffix, the declaration in a file."""
    if not name.endswith((".yaml", ".yml")):
        return {"preset": name}
    try:
        declaration = _read_tree(folder / _without_tilde(name, "space", problems))
    except ConfigError as error:
        problems += error.problems
        return {}
    weights = _weights_path({"space": declaration})
    if weights is not None:
        place = (folder / name).parent / _without_tilde(str(weights["weights"]), WEIGHTS, problems)
        weights["weights"] = str(place.resolve())
    # a file without stages must not get those of a preset
    has_stages = "preset" in declaration or "backbone" in declaration
    return declaration if has_stages else {"stages": [], **declaration}


def _lay_over(tree: Tree, other: Tree) -> None:
    """Override values of a tree by those of another one, recursively."""
    for key, value in other.items():
        own = tree.get(key)
        if isinstance(own, dict) and isinstance(value, dict):
            _lay_over(own, value)
        else:
            tree[key] = value


def _as_tree(value: object, origin: str) -> Tree:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{origin}: expected sections such as 'data:' and 'search:', got {type(value).__name__}")
    return value


def _is_within_space(setting: str) -> bool:
    """Return whether a setting lies within the declaration of the space."""
    path = option_path(setting)
    return path.startswith("space.") and path not in UNFOLDED


def _resolve_space(tree: Tree, problems: list[str]) -> None:
    """Replace `space: {preset: NAME, ...}` by the preset, overridden by the given keys."""
    default = _default_preset(tree)
    space, names = tree.get("space", {"preset": default}), (AUTO, *PRESETS)
    if isinstance(space, str):
        space = _named_space(space, Path(), problems)
    if not isinstance(space, dict):
        problems.append(
            f"space: expected 'preset: NAME' ({', '.join(names)}), a file such as mine.yaml or a declaration, "
            f"got {shown(space)}"
        )
        space = {"preset": default}
    if space.get("backbone") is not None:
        if "preset" in space:
            problems.append("space: expected either a preset or a backbone, got both; leave one of them out")
        if not space.get("exits"):
            problems += [
                f"space.{form}: is applied to exits, and none are listed; list the exits of the given backbone"
                for form in FORMS
                if form in space
            ]
        space = {**WITH_BACKBONE, **{key: value for key, value in space.items() if key != "preset"}}
    elif "preset" in space or "stages" not in space:
        name = space.get("preset", default)
        if name not in names:
            problems.append(
                f"space.preset: must be one of {', '.join(names)}, got {shown(name)}{closest(str(name), names)}"
            )
            name = default
        preset = _auto_space(tree) if name == AUTO else read_preset(str(name))
        space = {**preset, **{key: value for key, value in space.items() if key != "preset"}}
    tree["space"] = unfolded = dict(space)
    problems += unfold(unfolded)


def _default_preset(tree: Tree) -> str:
    """Return the default preset: `auto`, except for the embedded digits."""
    return "tiny" if _data_setting(tree, "dataset") in (None, "digits") else AUTO  # None also for a wrong type


def _auto_space(tree: Tree) -> Tree:
    """Construct the space of the preset `auto`; settings of a wrong type are ignored here and reported later."""
    dataset, size = _data_setting(tree, "dataset") or "digits", _data_setting(tree, "image_size")
    channels, limit = _data_setting(tree, "channels"), _section(tree, "search").get("max_average_macs")
    is_size = isinstance(size, int) and not isinstance(size, bool) and size >= 4
    is_limit = isinstance(limit, int | float) and not isinstance(limit, bool) and 0 < limit < math.inf
    return auto_declaration(
        int(cast(int, size)) if is_size else NATIVE_SIZES.get(str(dataset), 32),
        channels if channels in (1, 3) else 1 if dataset in GREY else 3,
        float(cast(float, limit)) if is_limit else None,
    )


def _suitable_epochs(config: Config, tree: Tree) -> dict[str, int]:
    """Return epochs by section that suit the number of training images, for sections without given epochs.

    Args:
        config: The validated configuration, with default epochs.
        tree: The given settings; without a named data set, the default epochs are kept.
    """
    unset = [name for name in EPOCHS if "epochs" not in _section(tree, name)]
    if not unset or "dataset" not in _section(tree, "data"):
        return {}
    data = config.data
    place = data.folder if data.root is not None else None
    count = num_training_images(data.dataset, place, max_images=data.max_train_images, max_classes=data.max_classes)
    if count is None:
        return {}
    limits = {name: (EPOCHS if config.space.backbone is None else EPOCHS_OF_BRANCHES)[name] for name in unset}
    return {name: min(max(round(images / count), least), most) for name, (images, least, most) in limits.items()}


def _complete_augmentation(tree: Tree) -> None:
    """Complete the augmentation of each training by the settings of the study's augmentation."""
    for name in ("supernet", "final_training"):
        own = _section(tree, name).get("augmentation")
        if isinstance(own, dict):
            tree[name] = {**_section(tree, name), "augmentation": {**_section(tree, "augmentation"), **own}}


def _set_branch_defaults(tree: Tree) -> None:
    """Set the defaults of final training on a given backbone: branches of the search at the start, one rate of SGD."""
    own = tree.get("final_training", {})
    if isinstance(own, dict) and _section(tree, "space").get("backbone") is not None:
        tree["final_training"] = {**BRANCH_DEFAULTS, **own}


def _part(section: type[Checked], tree: Tree, name: str) -> Checked | None:
    """Return a section if it is valid on its own."""
    try:
        return section.model_validate_json(to_json(tree.get(name, {}), inf_nan_mode="constants"))
    except ValidationError:
        return None


def _section(tree: Tree, name: str) -> Tree:
    section = tree.get(name)
    return section if isinstance(section, dict) else {}


def _data_setting(tree: Tree, name: str) -> object:
    return _section(tree, "data").get(name)


def _validate(tree: Tree, problems: list[str]) -> Config | None:
    try:
        # JSON mode: strict types, but lists are accepted as tuples.
        return Config.model_validate_json(to_json(tree, inf_nan_mode="constants"))
    except ValidationError as error:
        found = [sentence for details in error.errors() for sentence in sentences(details)]
        # rules between fields and sections, which pydantic skips if single fields are invalid
        found += [f"space.{problem}" for problem in space_problems(_section(tree, "space"))]
        estimation = _part(EstimationConfig, tree, "estimation")
        found += problems_between(
            _part(NetworkSpaceDeclaration, tree, "space"),
            estimation,
            _part(SupernetConfig, tree, "supernet"),
            final_training=_part(FinalTrainingConfig, tree, "final_training"),
        )
        found += problems_of_latencies(estimation, _part(SearchConfig, tree, "search"))
        problems += dict.fromkeys(found)
    return None
