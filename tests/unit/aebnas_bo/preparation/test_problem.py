"""Configuration, images, space and device, loaded once."""

from aebnas_bo.config.loading import load_config
from aebnas_bo.preparation.problem import Problem


def test_the_space_suits_the_images() -> None:
    problem = Problem.load(load_config(None))
    assert (problem.space.skeleton.in_channels, problem.space.skeleton.num_classes) == (1, 10)
    assert problem.device == "cpu"
    assert problem.load_s > 0.0


def test_other_settings_keep_images_and_space() -> None:
    problem = Problem.load(load_config(None))
    other = problem.with_config(load_config(None, ["final_training.epochs=3"]))
    assert other.config.final_training.epochs == 3
    assert other.splits is problem.splits
    assert other.space is problem.space


def test_final_trainings_may_use_images_that_only_the_search_needed() -> None:
    problem = Problem.load(load_config(None))
    final = problem.for_final_training
    assert len(final.splits.train) > len(problem.splits.train)
    assert final is problem.for_final_training
    kept = problem.with_config(load_config(None, ["final_training.train_on_validation=false"]))
    assert kept.for_final_training is kept
