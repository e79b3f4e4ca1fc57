"""What a study is."""

from __future__ import annotations

from dataclasses import dataclass

from aebnas_bo.search.objectives import Objective


@dataclass(frozen=True)
class StudyRecord:
    """What a study is, fixed when it is created but for settings without effect on its trials.

    Args:
        name: Its name.
        seed: Its seed.
        fingerprint: Identifies space, images, seed and training of the supernet.
        config: The whole configuration as YAML.
        objectives: Metrics, directions and reference point.
        latencies: Key of the table of latencies that it was begun with; empty without one.
    """

    name: str
    seed: int
    fingerprint: str
    config: str
    objectives: tuple[Objective, ...]
    latencies: str = ""
