"""A run folder as a finished search leaves it, made in a second."""

from dataclasses import replace

import numpy as np

from aebnas_bo.analysis.summary import SearchResult, write_summary
from aebnas_bo.config.loading import dump_config, load_config
from aebnas_bo.preparation.fingerprints import supernet_fingerprint
from aebnas_bo.preparation.latency_preparation import key_of, stored_latencies, write_table
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.supernet_preparation import make_estimator
from aebnas_bo.search.search_loop import evaluate_trial
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.storage.atomic_files import write_text
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.study.study_objectives import make_objectives
from aebnas_bo.supernet.supernet import Supernet
from aebnas_bo.supernet.supernet_file import save_supernet
from tests.fake_latencies import fake_table

TRIALS = 14


def write_tiny_run(folder: RunFolder, settings: tuple[str, ...]) -> None:
    """Leave what a finished run leaves, of an untrained supernet: trial 5 failed, 13 took a second attempt."""
    config = load_config(None, [f"search.budget={TRIALS}", "search.design_trials=8", *settings])
    problem = Problem.load(config)
    splits, space = problem.splits, problem.space
    folder.create()
    if config.search.has_latency:
        write_table(folder.latencies, fake_table(space))
    latencies = stored_latencies(config, space, folder)
    fingerprint, objectives = supernet_fingerprint(config, splits.data_hash), make_objectives(problem, latencies)
    supernet = Supernet(config.space, space.skeleton, 0)
    save_supernet(folder.supernet, supernet, fingerprint)
    estimator = make_estimator(problem, supernet, folder, latencies=latencies)
    write_text(folder.config, dump_config(config))
    record = StudyRecord(config.name, config.seed, fingerprint, dump_config(config), objectives, key_of(latencies))
    generator = np.random.default_rng(0)
    with TrialStore.create(folder.study, record) as store:
        for number in range(TRIALS):
            trial = Trial(number, "", "RUNNING", space.search_space.sample(generator), generation_s=0.5)
            store.add_running(trial)
            if number == 5:
                store.finish(replace(trial, status="FAILED", reason="<img src=x onerror=alert(1)>"))
                continue
            ended = evaluate_trial(trial, estimator, objectives)
            store.finish(replace(ended, reason="second attempt: no luck", evaluation_s=0.25) if number == 13 else ended)
        trials = store.trials()
    seconds = {"data": 0.1, "supernet": 75.0, "search": 8.0}
    result = SearchResult(trials, objectives)
    write_summary(folder.summary, config, splits, result=result, supernet_source="trained", seconds=seconds)
