"""Final trainings of one network with several seeds, on the workers of a Ray cluster or one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from aebnas_bo.deploy.description import NetworkDescription
from aebnas_bo.deploy.training_pipeline import Candidate, train_candidate
from aebnas_bo.execution.worker_jobs import check_visible, run_on_workers
from aebnas_bo.preparation.consoles import PlainConsole
from aebnas_bo.preparation.progress import RunProgress


@dataclass(frozen=True)
class FinalTrainings:
    """Constructs, in a worker, the function that trains a network with a seed.

    Args:
        candidate: The network; the worker must see its run folder.
        is_again: Whether to repeat finished trainings.
    """

    candidate: Candidate
    is_again: bool

    def __call__(self) -> Callable[[int], NetworkDescription]:
        """Return the function.

        Raises:
            ConfigError: If the worker does not see the run folder.
        """
        check_visible(self.candidate.folder.path)

        def train(seed: int) -> NetworkDescription:
            silent = RunProgress(PlainConsole(stderr=True), quiet=True)
            return train_candidate(self.candidate, seed, is_again=self.is_again, progress=silent)

        return train


def train_seeds(
    candidate: Candidate, seeds: Sequence[int], *, is_again: bool, progress: RunProgress
) -> list[NetworkDescription]:
    """Train a network with several seeds, at the same time if the configuration names workers.

    Args:
        candidate: The network.
        seeds: Seeds of the trainings.
        is_again: Whether to repeat finished trainings.
        progress: Shows the epochs or, with workers, the seeds.

    Returns:
        The descriptions in the order of the seeds.

    Raises:
        AebnasError: If a training or the workers fail; finished trainings are stored.
    """
    settings = candidate.problem.config.execution
    if settings.engine == "serial":
        return [train_candidate(candidate, seed, is_again=is_again, progress=progress) for seed in seeds]
    progress.start(f"trainings of {candidate.observed.key} on workers", len(seeds))
    sent = FinalTrainings(replace(candidate, problem=candidate.problem.for_workers), is_again)
    return run_on_workers(sent, seeds, settings, on_end=lambda ended: progress.update(ended, ""))
