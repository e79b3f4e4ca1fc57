import pickle

import numpy as np
import pytest
import torch

from aebnas_bo.config.loading import load_config
from aebnas_bo.estimation.cost_objective import LatencyCost
from aebnas_bo.estimation.estimator_parts import EstimatorParts, parts_of
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.supernet_preparation import fresh_supernet, make_estimator
from aebnas_bo.storage.run_folder import RunFolder


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem.load(load_config(None, ["data.max_train_images=300"]))


def sent(parts: EstimatorParts) -> EstimatorParts:
    """Return the parts as a worker gets them: pickled, and with arrays that cannot be written to."""
    got: EstimatorParts = pickle.loads(pickle.dumps(parts))
    for array in (*got.weights.values(), *got.images.values()):
        array.setflags(write=False)
    return got


def test_a_worker_gives_equal_estimates(problem) -> None:
    estimator = make_estimator(problem, fresh_supernet(problem), None)
    built = sent(parts_of(estimator)).build("cpu")
    generator = np.random.default_rng(0)
    for _ in range(3):
        point = estimator.search_space.sample(generator)
        assert built.estimate(point) == estimator.estimate(point)


def test_parts_hold_no_tensor(problem) -> None:
    parts = parts_of(make_estimator(problem, fresh_supernet(problem), None))
    assert all(isinstance(array, np.ndarray) for array in (*parts.weights.values(), *parts.images.values()))
    assert not any(isinstance(value, torch.Tensor) for value in vars(parts).values())
    assert not any(isinstance(cost, LatencyCost) for cost in parts.costs)


def test_a_worker_that_does_not_see_the_run_folder_stores_no_tables(problem, tmp_path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.create()
    parts = parts_of(make_estimator(problem, fresh_supernet(problem), folder))
    assert sent(parts).build("cpu").weights.store is not None
    folder.path.rename(tmp_path / "elsewhere")
    assert sent(parts).build("cpu").weights.store is None
    assert not folder.path.exists()
