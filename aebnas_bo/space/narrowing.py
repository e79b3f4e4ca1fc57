"""Short forms that narrow a declared space, as methods need them: one fixed branch, some kinds of layers, thresholds.

They stand beside a preset or a declaration (`space: {preset: tiny, thresholds: tuned}`) and are unfolded on reading.
"""

from __future__ import annotations

from collections.abc import Callable

Tree = dict[str, object]

LAYER_KEYS = {"kind": "kinds", "kernel": "kernels", "expansion": "expansions", "pool": "pools", "upsample": "upsamples"}


def unfold(space: Tree) -> list[str]:
    """Apply the short forms to a raw declaration, in place, and take them out of it.

    `branch` lists the layers every branch has, each with `kind`, `kernel`, `expansion`, `pool`, `upsample`; whether
    there is an exit is still searched. `branch_kinds` keeps only these kinds of layers. `thresholds` is `searched` (as
    declared), `tuned` (no parameters) or a list of the only values.

    Args:
        space: The declaration as it stands in a file; its exits are lists and dictionaries, or wrong.

    Returns:
        One sentence per problem.
    """
    problems: list[str] = []
    for key, apply in FORMS.items():
        if key in space:
            value, exits = space.pop(key), space.get("exits")
            for exit_ in exits if isinstance(exits, list) else []:
                if isinstance(exit_, dict):
                    problems += apply(value, exit_)
    return list(dict.fromkeys(problems))


def _fix_branch(value: object, exit_: Tree) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(layer, dict) for layer in value):
        return [f"space.branch: expected a list of layers such as {{kind: dense, kernel: 3}}, got {value!r}"]
    unknown = sorted({str(key) for layer in value for key in layer} - set(LAYER_KEYS))
    if unknown:
        return [f"space.branch: no such setting {', '.join(unknown)}; there is {', '.join(LAYER_KEYS)}"]
    exit_["depths"] = [0, len(value) + 1]
    exit_["layers"] = [{LAYER_KEYS[key]: [choice] for key, choice in layer.items()} for layer in value]
    return []


def _keep_kinds(value: object, exit_: Tree) -> list[str]:
    if not isinstance(value, list):
        return [f"space.branch_kinds: expected a list of kinds such as [dense], got {value!r}"]
    layers = exit_.get("layers", [])
    for layer in layers if isinstance(layers, list) else []:
        if isinstance(layer, dict):
            layer["kinds"] = value
    return []


def _set_thresholds(value: object, exit_: Tree) -> list[str]:
    if value == "tuned":
        exit_.pop("threshold_values", None)
        exit_["threshold"] = None
    elif isinstance(value, list):
        exit_["threshold_values"] = value
    elif value != "searched":
        return [f"space.thresholds: must be searched, tuned or a list of values such as [0.1, 0.2], got {value!r}"]
    return []


FORMS: dict[str, Callable[[object, Tree], list[str]]] = {
    "branch": _fix_branch,
    "branch_kinds": _keep_kinds,
    "thresholds": _set_thresholds,
}
