import pickle
from dataclasses import replace

import numpy as np
import pytest

from aebnas_bo.errors import ConfigError
from aebnas_bo.search.remote_evaluation import RemoteEvaluation
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_evaluation import evaluate_trial


def test_a_worker_evaluates_as_this_process_does(estimator, objectives) -> None:
    sent = pickle.loads(pickle.dumps(RemoteEvaluation(estimator, objectives)))
    trial = Trial(3, "", "RUNNING", estimator.search_space.sample(np.random.default_rng(0)), attempt=2, pending=(1, 2))
    ended, expected = sent()(trial), evaluate_trial(trial, estimator, objectives)
    assert replace(ended, evaluation_s=0.0) == replace(expected, evaluation_s=0.0)
    assert (ended.attempt, ended.pending) == (2, (1, 2))


def test_a_worker_with_another_version_is_refused(estimator, objectives) -> None:
    with pytest.raises(ConfigError, match="install the same version on every node"):
        RemoteEvaluation(estimator, objectives, version="0.0.1")()


def test_a_worker_without_the_gpu_that_it_was_given_is_refused(estimator, objectives, monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match="Ray gave a worker a GPU that PyTorch cannot use"):
        RemoteEvaluation(estimator, objectives, device="cuda")()
