"""Short trainings of a rung on the workers of a Ray cluster, which store their tables in the run folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.execution.worker_jobs import check_visible, run_on_workers
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.shortlist.contenders import Contender
from aebnas_bo.shortlist.short_training import ShortListContext, networks_of, short_training
from aebnas_bo.space.architecture import Architecture

Job = tuple[Architecture, int]
"""A network and its epochs."""


@dataclass(frozen=True)
class ShortTrainings:
    """Constructs, in a worker, the function that trains a network briefly and stores its table.

    Args:
        context: Run folder, which the worker must see, and problem.
    """

    context: ShortListContext

    def __call__(self) -> Callable[[Job], None]:
        """Return the function.

        Raises:
            ConfigError: If the worker does not see the run folder.
        """
        check_visible(self.context.folder.path)
        networks = cache(lambda epochs: networks_of(self.context, epochs))

        def train(job: Job) -> None:
            architecture, epochs = job
            networks(epochs).train(architecture, lambda _: None)

        return train


class RungsOnWorkers:
    """Trains the networks of a rung at the same time on workers.

    Args:
        context: Run folder and problem, whose configuration names the workers.
        progress: Shows how many networks are trained.
    """

    def __init__(self, context: ShortListContext, progress: RunProgress) -> None:
        self._context, self._progress = context, progress

    def train_all(self, rung: Sequence[tuple[Contender, int]]) -> None:
        """Train all networks of a rung that are not trained yet.

        Args:
            rung: Networks, each with its epochs.

        Raises:
            ConfigError: If the workers cannot be had, or do not see the run folder.
            ExecutionError: If too many workers were lost.
            TrainingDivergedError: If a training fails for good.
        """
        jobs = [
            (contender.architecture, epochs)
            for contender, epochs in rung
            if networks_of(self._context, epochs).known_table(contender.architecture) is None
        ]
        settings = self._context.problem.config.execution
        sent = ShortTrainings(replace(self._context, problem=self._context.problem.for_workers))
        self._progress.start("short trainings on workers", len(jobs))
        run_on_workers(sent, jobs, settings, on_end=lambda ended: self._progress.update(ended, ""))

    def __call__(self, contender: Contender, epochs: int) -> ExitTable:
        """Return the table of a network."""
        return short_training(self._context, contender, epochs, progress=self._progress)
