"""Evaluation of trials by a worker: what is sent to it once, and the function that it then runs for every trial."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from aebnas_bo.errors import ConfigError
from aebnas_bo.estimation.estimator import Estimator
from aebnas_bo.estimation.estimator_parts import EstimatorParts
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_evaluation import evaluate_trial
from aebnas_bo.storage.version import __version__


@dataclass(frozen=True, eq=False)
class RemoteEvaluation:
    """Constructs, in a worker, the function that evaluates trials.

    Args:
        estimator: Parts of a supernet's estimator, or another estimator, which must be picklable.
        objectives: Objectives of the study.
        device: Device of the worker, `cpu` or `cuda`.
        num_threads: CPU threads of an evaluation.
        version: Version of this package in the process that proposes trials.
    """

    estimator: EstimatorParts | Estimator
    objectives: tuple[Objective, ...]
    device: str = "cpu"
    num_threads: int = 1
    version: str = __version__

    def __call__(self) -> Callable[[Trial], Trial]:
        """Return the function that evaluates a trial.

        Raises:
            ConfigError: If the worker has another version of this package, or no GPU although one was asked for.
        """
        if self.version != __version__:
            raise ConfigError(
                f"execution: a worker has aebnas_bo {__version__}, this process {self.version}; install the same "
                "version on every node"
            )
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ConfigError(
                "execution.gpus_per_worker: Ray gave a worker a GPU that PyTorch cannot use; install PyTorch with CUDA "
                "on every node, or set gpus_per_worker: 0"
            )
        built = self.estimator.build(self.device) if isinstance(self.estimator, EstimatorParts) else self.estimator

        def evaluate(trial: Trial) -> Trial:
            set_up_cpu(self.num_threads)  # of the thread that runs jobs, which may not be the main one
            return evaluate_trial(trial, built, self.objectives)

        return evaluate
