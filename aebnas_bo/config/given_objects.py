"""Objects from Python that a study needs in addition to its configuration."""

from __future__ import annotations

from aebnas_bo.config.schema import Config


def given_objects(config: Config) -> tuple[str, ...]:
    """Return the arguments of `aebnas_bo.Study.open` that are needed to resume a study; empty if none are needed.

    Args:
        config: The configuration of the study.
    """
    needed = {
        "train": config.data.dataset == "given",
        "strategy": config.search.strategy == "given",
        "objective": "given" in config.search.objectives,
        "estimator": config.estimation.estimator is not None,
    }
    return tuple(name for name, is_needed in needed.items() if is_needed)
