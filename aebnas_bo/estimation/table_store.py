"""Store of evaluated networks on disk: exit table and BatchNorm statistics, one file per architecture."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from aebnas_bo.early_exit.calibrated_output import Calibration
from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.errors import CorruptStateError
from aebnas_bo.storage.tensor_file import load_tensors, save_tensors

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)  # comparing tensors with == returns a tensor
class MeasuredNetwork:
    """Result of evaluating a network.

    Args:
        table: Confidence and correctness of every validation image at every output.
        statistics: Running mean and variance of each BatchNorm layer, by name in the network's state dict.
        calibrations: Calibration of each output; empty without temperature scaling.
    """

    table: ExitTable
    statistics: dict[str, Tensor]
    calibrations: tuple[Calibration, ...] = ()


class TableStore:
    """Store of evaluated networks in a folder, by architecture key.

    Args:
        folder: Folder of the files; created with the first file.
        fingerprint: Hash of weights, images and evaluation settings. Files with another fingerprint are ignored.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder = folder
        self._fingerprint = fingerprint

    @property
    def is_reachable(self) -> bool:
        """Whether this machine sees the folder of the run; a worker on another machine may not."""
        return self._folder.parent.is_dir()

    def load(self, key: str) -> MeasuredNetwork | None:
        """Return an evaluated network, or `None` if it has no valid file."""
        path = self._path(key)
        if not path.exists():
            return None
        try:
            tensors, metadata = load_tensors(path, self._fingerprint)
            return _network(key, path, tensors, metadata=metadata)
        except CorruptStateError as error:
            logger.warning("the stored evaluation of network %s is ignored: %s", key, error)
            return None

    def save(self, key: str, network: MeasuredNetwork) -> None:
        """Write an evaluated network atomically."""
        self._folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            **network.statistics,
            "confidence": network.table.confidence,
            "is_correct": network.table.is_correct.to(torch.uint8),
        }
        facts = {
            "macs": network.table.macs,
            "rule": network.table.rule,
            "calibrations": [asdict(one) for one in network.calibrations],
        }
        metadata = {"fingerprint": self._fingerprint, "key": key, "network": json.dumps(facts)}
        save_tensors(self._path(key), tensors, metadata)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.safetensors"


def _network(key: str, path: Path, tensors: dict[str, Tensor], *, metadata: dict[str, str]) -> MeasuredNetwork:
    if metadata.get("key") != key:
        other = f"network {metadata['key']}" if "key" in metadata else "a network without a key, from an older version"
        raise CorruptStateError(f"{path} holds the evaluation of {other}; delete it")
    try:
        facts = json.loads(metadata["network"])
        table = ExitTable(
            tensors.pop("confidence"), tensors.pop("is_correct").bool(), tuple(facts["macs"]), facts["rule"]
        )
        return MeasuredNetwork(table, tensors, tuple(Calibration(**one) for one in facts["calibrations"]))
    except (LookupError, ValueError, TypeError) as error:  # ExitTableError is a ValueError
        raise CorruptStateError(f"{path} does not hold an exit table ({error}); delete it") from error
