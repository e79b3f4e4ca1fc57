"""Record of a study: configuration, seed and objectives."""

from __future__ import annotations

from dataclasses import dataclass

from aebnas_bo.search.objectives import Objective


@dataclass(frozen=True)
class StudyRecord:
    """Configuration, seed and objectives of a study; later, only settings without effect on its trials may change.

    Args:
        name: Name of the study.
        seed: Random seed of the study.
        fingerprint: Hash of space, images, seed and training of the supernet.
        config: The whole configuration as YAML.
        objectives: Metrics, directions and reference point.
        latencies: Key of the latency table used when the study was created; empty without one.
    """

    name: str
    seed: int
    fingerprint: str
    config: str
    objectives: tuple[Objective, ...]
    latencies: str = ""
