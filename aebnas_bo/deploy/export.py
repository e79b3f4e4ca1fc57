"""Export of a trained network to files that do not need the run folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from aebnas_bo.analysis.selection import Selection
from aebnas_bo.analysis.stored_choice import stored_choice
from aebnas_bo.deploy.description import NetworkDescription
from aebnas_bo.deploy.export_formats import Format
from aebnas_bo.deploy.exported_files import MANIFEST, NETWORK_FILE
from aebnas_bo.deploy.model_card import model_card
from aebnas_bo.deploy.network_file import load_network, save_network
from aebnas_bo.deploy.onnx_files import write_early_exit, write_segments
from aebnas_bo.deploy.program_file import write_program
from aebnas_bo.deploy.segments import drop_tail, segments
from aebnas_bo.deploy.stored_trainings import no_training
from aebnas_bo.deploy.training_folders import trained_networks
from aebnas_bo.errors import UsageError
from aebnas_bo.storage.atomic_files import filling, write_text
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.supernet.folding import fold_batchnorm
from aebnas_bo.supernet.subnet import Subnet

Write = Callable[[Path, Subnet, NetworkDescription], str]


def trained_network(folder: RunFolder, selection: Selection, seed: int | None, *, recipe: str | None = None) -> Path:
    """Find the file of a fully trained network.

    Args:
        folder: The run folder.
        selection: Selection of the network.
        seed: Seed of its training; `None` for any.
        recipe: Recipe of its training, as `aebnas-bo train` prints it; `None` for any.

    Returns:
        The matching training with the highest validation accuracy.

    Raises:
        UsageError: If the folder holds no study, no network meets the selection, or no training matches.
        NetworkFileError: If a trained network's file is damaged.
    """
    observed = stored_choice(folder, selection)
    trained = trained_networks(folder, observed.key)
    fitting = [
        one
        for one in trained
        if seed in {None, one.description.origin.seed} and recipe in {None, one.description.origin.recipe}
    ]
    if fitting:
        return max(fitting, key=lambda one: one.description.validation.accuracy).folder / NETWORK_FILE
    origins = [(one.description.origin.recipe, one.description.origin.seed) for one in trained]
    raise no_training(folder, selection, observed, seed=seed, recipe=recipe, origins=origins)


def export_network(source: Path, format_: Format, folder: Path, *, check: Callable[[], None] = lambda: None) -> Path:
    """Write a trained network in one format, with its description and a model card.

    Args:
        source: File of a trained network.
        format_: `torch`: one safetensors file; `onnx`: one file for single images that stops early; `onnx-segments`:
            one file per segment for batches; `torch-export`: a program for single images that stops early.
        folder: Output folder, created if needed. All files appear together after the last one is written.
        check: Called before the files appear; if it raises an exception, no file is left.

    Returns:
        The file, or the folder of segments. `load` reads every format except `torch-export`.

    Raises:
        UsageError: If the folder cannot be created or is the folder of the training, or a package is not installed.
        NetworkFileError: If the source is damaged.
    """
    if folder.resolve() == source.parent.resolve():  # an exported file may lack weights that later tuning needs
        raise UsageError(f"--out {folder}: is the folder of the training; use another folder")
    subnet, description = load_network(source, trusts_code=True)  # the run's configuration names the module, too
    writers: dict[Format, Write] = {
        "torch": _torch, "onnx": _onnx, "onnx-segments": _onnx_segments, "torch-export": _torch_export,
    }  # fmt: skip
    try:
        with filling(folder) as temporary:
            name = writers[format_](temporary, subnet, description)
            write_text(temporary / "network.json", description.to_json() + "\n")
            write_text(temporary / "MODEL_CARD.md", model_card(description, name))
            check()
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot be written ({error.strerror}); use another folder") from error
    return folder if name == MANIFEST else folder / name


def _torch(folder: Path, subnet: Subnet, description: NetworkDescription) -> str:
    drop_tail(subnet, description)
    save_network(folder / NETWORK_FILE, subnet, description)
    return NETWORK_FILE


def _onnx(folder: Path, subnet: Subnet, description: NetworkDescription) -> str:
    fold_batchnorm(subnet)
    write_early_exit(folder / "network.onnx", segments(subnet, description), description)
    return "network.onnx"


def _onnx_segments(folder: Path, subnet: Subnet, description: NetworkDescription) -> str:
    fold_batchnorm(subnet)
    files = write_segments(folder, segments(subnet, description), description)
    write_text(folder / MANIFEST, json.dumps({"key": description.key, "segments": files}, indent=2) + "\n")
    return MANIFEST


def _torch_export(folder: Path, subnet: Subnet, description: NetworkDescription) -> str:
    fold_batchnorm(subnet)
    write_program(folder / "network.pt2", segments(subnet, description), description)
    return "network.pt2"
