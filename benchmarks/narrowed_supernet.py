"""Supernets for methods whose spaces are part of another space, with the weights of its supernet.

    python -m benchmarks.narrowed_supernet RUN --config CONFIG --methods static aebnas --cache FOLDER
    AEBNAS_BO_CACHE=FOLDER aebnas-bo compare CONFIG --methods static,aebnas ...

RUN is the folder of a search in the space of CONFIG; METHODS are those of `aebnas-bo compare`. The part of RUN's
weights that each method's space uses (first channels, centres of kernels) is written to a separate cache, from which
`compare` reads it instead of training. The weights differ from those of the method's own training.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Size, Tensor

from aebnas_bo.config.loading import load_config, parse_config
from aebnas_bo.config.schema import Config
from aebnas_bo.data.datasets import load_splits
from aebnas_bo.data.splits import Splits
from aebnas_bo.experiments.comparison.method_files import method_files
from aebnas_bo.preparation.fingerprints import supernet_fingerprint
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.tensor_file import load_tensors
from aebnas_bo.supernet.supernet import Supernet
from aebnas_bo.supernet.supernet_file import save_supernet


def main() -> None:
    """Write one supernet per method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", required=True)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--cache", type=Path, required=True)
    arguments = parser.parse_args()
    folder = RunFolder(arguments.run)
    with TrialStore.open_read_only(folder.study) as store:
        study, wide = store.study, parse_config(store.study.config, str(folder.study))
    weights, _ = load_tensors(folder.supernet, study.fingerprint)
    splits = load_splits(wide.data)
    if supernet_fingerprint(wide, splits.data_hash) != study.fingerprint:
        raise SystemExit(f"{folder.path}: the images changed since the search")
    (arguments.cache / "supernets").mkdir(parents=True, exist_ok=True)
    for name, file in method_files(arguments.methods, arguments.config).items():
        config = load_config(arguments.config, arguments.settings, file).model_copy(update={"seed": study.seed})
        supernet = narrowed(weights, wide, config, splits, name)
        path = arguments.cache / "supernets" / f"{supernet_fingerprint(config, splits.data_hash)}.safetensors"
        save_supernet(path, supernet, path.stem)
        sys.stdout.write(f"{name}: {path}\n")


def narrowed(weights: dict[str, Tensor], wide: Config, config: Config, splits: Splits, name: str) -> Supernet:
    """Return the supernet of a configuration, with weights of the supernet of a wider space.

    Args:
        weights: Weights of the supernet of the wider space.
        wide: Configuration of the wider space.
        config: Configuration of the narrower space.
        splits: The images.
        name: The method, for messages.

    Raises:
        SystemExit: If images or the fixed part of the networks differ, or a weight is missing.
    """
    spaces = [NetworkSpace(one.space, splits.in_channels, splits.num_classes) for one in (wide, config)]
    fixed = [replace(space.skeleton, exit_stages=()) for space in spaces]
    if fixed[0] != fixed[1] or config.data != wide.data:
        raise SystemExit(f"{name}: the images, or what all networks of a space share, are others than the search's")
    supernet = Supernet(config.space, spaces[1].skeleton, config.seed)
    own = {}
    for key, tensor in supernet.state_dict().items():
        found = weights.get(key)
        if found is None or any(have < want for have, want in zip(found.shape, tensor.shape, strict=True)):
            raise SystemExit(
                f"{name}: its space does not lie within the search's, whose supernet has too little of {key}"
            )
        own[key] = _slice(found, tensor.shape)
    supernet.load_state_dict(own)
    return supernet


def _slice(tensor: Tensor, shape: Size | Sequence[int]) -> Tensor:
    """Return the first channels and the centre of the kernel, as a supernet does."""
    channels = tuple(slice(size) for size in shape[:2])
    margins = [(have - want) // 2 for have, want in zip(tensor.shape[2:], shape[2:], strict=True)]
    return tensor[(*channels, *(slice(margin, margin + want) for margin, want in zip(margins, shape[2:], strict=True)))]


if __name__ == "__main__":
    main()
