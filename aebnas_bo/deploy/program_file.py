"""Export of networks as PyTorch programs (`.pt2`), which run without this package.

This package writes programs but does not load them. `torch.export.load` evaluates size expressions, and running a
program executes its guards. Both are text in the file, so a `.pt2` can execute arbitrary code.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import torch

from aebnas_bo.deploy.description import NetworkDescription
from aebnas_bo.deploy.segments import EarlyExitNetwork, Segment
from aebnas_bo.estimation.silenced_remarks import without_remarks
from aebnas_bo.storage.atomic_files import write_bytes

EXTRA = "network.json"


def write_program(path: Path, parts: Sequence[Segment], description: NetworkDescription) -> None:
    """Write a program that maps `1 x C x S x S` pixels in [0, 1] to logits, confidence and exit index.

    Args:
        path: The file, `*.pt2`.
        parts: The network's segments.
        description: Description for its metadata.
    """
    example = torch.zeros(1, description.skeleton.in_channels, description.image_size, description.image_size)
    buffer = io.BytesIO()
    with without_remarks():
        program = torch.export.export(EarlyExitNetwork(parts, description).eval(), (example,))
        _strip(program)
        torch.export.save(program, buffer, extra_files={EXTRA: description.to_json()})
    write_bytes(path, buffer.getvalue())


def _strip(program: torch.export.ExportedProgram) -> None:
    """Remove names and lines of source files, which reveal paths of the exporting machine."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                for name in ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node"):
                    node.meta.pop(name, None)
