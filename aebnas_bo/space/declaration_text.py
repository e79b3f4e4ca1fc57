"""The declaration of a space as YAML that a user can read and change: every field, with a comment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import get_args

from aebnas_bo.space.architecture import Activation
from aebnas_bo.space.block_and_layer_kinds import LAYER_KINDS
from aebnas_bo.space.declaration import NetworkSpaceDeclaration

COLUMN = 36  # where a comment on the same line begins
KINDS = ", ".join(LAYER_KINDS)
GENERAL = "Brackets hold the choices of the search, numbers ascending; a single choice is fixed."
SPACE = {
    "resolutions": "pixels a side that images are resized to",
    "stem_channels": "channels of the first convolution; null: half the width of the first stage",
    "stem_stride": "1 or 2; 2 halves the maps",
    "head_channels": "channels of a 1x1 convolution before the final pooling; 0: none",
    "branch_stride": "1 or 2; stride of every layer of an exit branch",
    "activation": f"in the backbone: {' or '.join(get_args(Activation))}",
    "learned_confidence": "whether exits learn their confidence (supernet.joint_loss)",
    "squeeze_excitation": "stages with squeeze-and-excitation, counted from 1",
    "stages": "The backbone, at least two stages, one entry each:",
    "exits": "Where images may leave, one entry per exit ([] for networks without exits):",
}
STAGE = {
    "widths": "output channels",
    "depths": "number of blocks; 0, in the last stage only, leaves the stage out",
    "kernels": "odd sizes of the spatial convolution, 1 to 11",
    "expansions": "how many times as many channels inside the kinds that expand: "
    + ", ".join(name for name, kind in LAYER_KINDS.items() if kind.expands),
    "stride": "1 or 2; stride of the first block",
    "kinds": f"of each block: {KINDS}",
}
EXIT = {
    "after_stage": "stage it follows, counted from 1; not the last one",
    "depths": "layers, the final classifier included; 0: no exit, 1: the classifier alone",
    "layers": "one entry per layer before the classifier, in order",
    "threshold": "least and most confidence threshold; null: tuned network by network (estimation.tuning)",
    "threshold_values": "the only thresholds to choose from; []: any in that range",
}
LAYER = {
    "kinds": KINDS,
    "kernels": "odd sizes of the spatial convolution, 1 to 11",
    "expansions": "channel multipliers",
    "pools": "whether a 2x2 max-pool follows",
    "upsamples": "pixels a side that its input is resized to first; 0: left as it is",
}


def declaration_text(declaration: NetworkSpaceDeclaration, title: str) -> str:
    """Return a declaration as YAML; reading it gives an equal declaration.

    Args:
        declaration: The space.
        title: Title of the text, one line.
    """
    tree = declaration.model_dump(mode="json")
    lines = [f"# {title}", f"# {GENERAL}", ""]
    lines += [
        f"{f'{name}: {_flow(value)}':<{COLUMN}}# {SPACE[name]}"
        for name, value in tree.items()
        if name not in {"stages", "exits"}
    ]
    lines += ["", f"# {SPACE['stages']}", *_comments(STAGE), "stages:"]
    for stage in tree["stages"]:
        lines += _entry(stage)
    lines += ["", f"# {SPACE['exits']}", *_comments(EXIT)]
    lines += ["#   In a layer:", *(f"  {line}".replace("  #", "#  ", 1) for line in _comments(LAYER))]
    lines += ["exits:" if tree["exits"] else "exits: []"]
    for exit_ in tree["exits"]:
        lines += _entry(exit_)
    return "\n".join(lines) + "\n"


def _comments(of: Mapping[str, str]) -> list[str]:
    return [f"#   {name}: {text}" for name, text in of.items()]


def _entry(fields: Mapping[str, object]) -> list[str]:
    lines = []
    for name, value in fields.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lines += [f"{name}:", *(f"  - {_flow(one)}" for one in value)]
        else:
            lines.append(f"{name}: {_flow(value)}")
    return [f"  - {lines[0]}", *(f"    {line}" for line in lines[1:])]


def _flow(value: object) -> str:
    """Return a value on one line; texts are names, which need no quotes."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(one)}" for key, one in value.items()) + "}"
    return json.dumps(value)
