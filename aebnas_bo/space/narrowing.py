"""Short forms that narrow a declared space for a method: one fixed branch, some kinds of layers, fixed thresholds.

They are combined with a preset or a declaration (`space: {preset: tiny, thresholds: tuned}`) and expanded on reading.
"""

from __future__ import annotations

from collections.abc import Callable

Tree = dict[str, object]

LAYER_KEYS = {"kind": "kinds", "kernel": "kernels", "expansion": "expansions", "pool": "pools", "upsample": "upsamples"}
FORMS = ("branch", "branch_kinds", "thresholds")


def unfold(space: Tree) -> list[str]:
    """Apply the short forms to a raw declaration, in place, and take them out of it.

    `branch` lists the layers every branch has, each with `kind`, `kernel`, `expansion`, `pool`, `upsample`; whether
    there is an exit is still searched. `branch_kinds` keeps only these kinds of the layers declared. `thresholds` is
    `searched` (as declared), `tuned` (no parameters) or a list of the only values.

    Args:
        space: The declaration as it stands in a file; its exits are lists and dictionaries, or wrong.

    Returns:
        One sentence per problem.
    """
    given = {form: space.pop(form) for form in FORMS if form in space}
    problems = [problem for form, value in given.items() if (problem := CHECKS[form](value))]
    exits = space.get("exits")
    if problems or not isinstance(exits, list):
        return problems
    for exit_ in exits:
        if isinstance(exit_, dict):
            for form, value in given.items():
                problems += APPLY[form](value, exit_)
    return list(dict.fromkeys(problems))


def _check_branch(value: object) -> str:
    if not isinstance(value, list) or not all(isinstance(layer, dict) for layer in value):
        return f"space.branch: expected a list of layers such as {{kind: dense, kernel: 3}}, got {value!r}"
    unknown = sorted({str(key) for layer in value for key in layer} - set(LAYER_KEYS))
    return f"space.branch: no such setting {', '.join(unknown)}; there is {', '.join(LAYER_KEYS)}" if unknown else ""


def _check_kinds(value: object) -> str:
    return "" if isinstance(value, list) else f"space.branch_kinds: expected a list such as [dense], got {value!r}"


def _check_thresholds(value: object) -> str:
    if value in ("searched", "tuned") or isinstance(value, list):
        return ""
    return f"space.thresholds: must be searched, tuned or a list of values such as [0.1, 0.2], got {value!r}"


def _fix_branch(value: object, exit_: Tree) -> list[str]:
    assert isinstance(value, list)
    exit_["depths"] = [0, len(value) + 1]
    exit_["layers"] = [{LAYER_KEYS[key]: [choice] for key, choice in layer.items()} for layer in value]
    return []


def _keep_kinds(value: object, exit_: Tree) -> list[str]:
    assert isinstance(value, list)
    layers = exit_.get("layers", [])
    for layer in layers if isinstance(layers, list) else []:
        declared = layer.get("kinds", ["dense"]) if isinstance(layer, dict) else []
        kept = [kind for kind in declared if kind in value]
        if not kept:
            return [f"space.branch_kinds: no layer may be {value}; the space declares {declared}"]
        layer["kinds"] = kept
    return []


def _set_thresholds(value: object, exit_: Tree) -> list[str]:
    if value == "tuned":
        exit_.pop("threshold_values", None)
        exit_["threshold"] = None
    elif isinstance(value, list):
        exit_["threshold_values"] = list(value)
    return []


CHECKS: dict[str, Callable[[object], str]] = {
    "branch": _check_branch,
    "branch_kinds": _check_kinds,
    "thresholds": _check_thresholds,
}
APPLY: dict[str, Callable[[object, Tree], list[str]]] = {
    "branch": _fix_branch,
    "branch_kinds": _keep_kinds,
    "thresholds": _set_thresholds,
}
