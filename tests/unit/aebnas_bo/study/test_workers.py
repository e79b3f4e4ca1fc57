from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from aebnas_bo.config.loading import load_config
from aebnas_bo.errors import ConfigError
from aebnas_bo.search.remote_evaluation import RemoteEvaluation
from aebnas_bo.study import workers as module
from aebnas_bo.study.workers import check_workers, evaluation_of

SILENT = SimpleNamespace(message=lambda _: None)


def problem(*settings: str, device: str = "cpu") -> SimpleNamespace:
    return SimpleNamespace(config=load_config(None, settings), device=device)


def test_one_process_needs_no_cluster(monkeypatch) -> None:
    monkeypatch.setattr(module, "check_cluster", lambda settings: pytest.fail("a cluster was looked for"))
    check_workers(problem())
    estimator = object()
    with evaluation_of(problem(), estimator, (), progress=SILENT) as evaluation:
        assert evaluation is estimator


def test_workers_run_on_the_device_of_the_run(monkeypatch) -> None:
    monkeypatch.setattr(module, "check_cluster", lambda settings: None)
    check_workers(problem("execution.engine=ray", "execution.gpus_per_worker=0.5", device="cuda"))
    with pytest.raises(ConfigError, match="this process runs networks on a GPU, workers would run them on CPUs"):
        check_workers(problem("execution.engine=ray", device="cuda"))


def test_the_estimator_is_sent_to_workers_which_end_with_the_search(monkeypatch) -> None:
    sent, closed = [], []

    class Executor:
        def __class_getitem__(cls, _):
            return cls

        def __init__(self, ray, make, settings) -> None:
            sent.append((make, settings.workers))

        def close(self) -> None:
            closed.append(True)

    @contextmanager
    def cluster(settings):
        yield None

    monkeypatch.setattr(module, "RayExecutor", Executor)
    monkeypatch.setattr(module, "ray_cluster", cluster)
    estimator = SimpleNamespace(search_space="the space")
    config = problem("execution.engine=ray", "execution.workers=3", "execution.lease_s=7", "num_threads=2")
    with evaluation_of(config, estimator, (), progress=SILENT) as evaluation:
        assert (evaluation.search_space, evaluation.lease_s, evaluation.max_attempts) == ("the space", 7.0, 3)
        assert not closed
    [(make, count)] = sent
    assert isinstance(make, RemoteEvaluation)
    assert (make.estimator, make.num_threads, make.device, count, closed) == (estimator, 2, "cpu", 3, [True])
