"""Replay of a finished study: every trial is proposed again from what was known when it was proposed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aebnas_bo.search.search_loop import propose_trials
from aebnas_bo.search.settings import SearchConfig
from aebnas_bo.search.strategy import Strategy
from aebnas_bo.search.trial import Trial


def trials_as_seen(trials: Sequence[Trial], number: int) -> list[Trial]:
    """Return the trials before one as they were when it was proposed: those in its `pending` were running.

    Args:
        trials: All trials.
        number: Number of the trial.
    """
    pending = set(trials[number].pending)
    return [
        replace(trial, status="RUNNING", key="", reason="", points=()) if trial.number in pending else trial
        for trial in trials[:number]
    ]


def differing_trials(strategy: Strategy, trials: Sequence[Trial], settings: SearchConfig) -> list[int]:
    """Propose every trial of a study again, and return the numbers of those whose points differ.

    Args:
        strategy: A new strategy, constructed as that of the study.
        trials: Trials of the study, each completed or failed.
        settings: Settings of the study.

    Returns:
        Numbers of the trials that the strategy would not have proposed; empty if the study replays exactly.
    """
    differing, number = [], 0
    while number < len(trials):
        proposed = propose_trials(strategy, trials_as_seen(trials, number), settings)
        for one, trial in zip(proposed, trials[number:], strict=False):
            if dict(one.parameters) != dict(trial.parameters):
                differing.append(trial.number)
        number += len(proposed)
    return differing
