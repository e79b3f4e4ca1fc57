"""Training speed of this machine, from a few timed steps of the supernet and of single networks."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from aebnas_bo.deploy.final_recipe import train_from_scratch
from aebnas_bo.deploy.given_training import train_given
from aebnas_bo.preparation.consoles import PlainConsole
from aebnas_bo.preparation.fingerprints import capped
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.preparation.supernet_preparation import supernet_data, training_data, with_budget
from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.space.backbone_pool import BackbonePool, backbone_pool
from aebnas_bo.space.extremes import extreme_network
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.sampling import TrainingSampler
from aebnas_bo.supernet.branch_supernet import BranchSupernet
from aebnas_bo.supernet.supernet import Supernet
from aebnas_bo.supernet.supernet_training import step_networks, train_supernet
from aebnas_bo.training.training_loop import EpochReport, Recorder, TrainingData

STEPS = 10  # timed steps of the supernet, after equally many warm-up steps
NETWORK_STEPS = 20  # timed steps of each single network, after equally many warm-up steps
UNTRAINED_S = 1e-6  # seconds per image of a network without weights to train
NETWORKS = 3  # a cheap, a medium and an expensive one


class Speed(BaseModel):
    """Measured speeds of training.

    Args:
        supernet_s: Seconds per training image of the supernet, summed over the networks of a step.
        network_s: Constant part of a single network's seconds per training image.
        network_s_per_mac: Seconds per training image and MAC of a single network.
        features_s: Seconds per image for the features of a given backbone, which are computed once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    supernet_s: float
    network_s: float
    network_s_per_mac: float
    features_s: float = 0.0

    def network_seconds(self, macs: int) -> float:
        """Return the seconds per training image of a network.

        Args:
            macs: MACs up to its final classifier.
        """
        return self.network_s + self.network_s_per_mac * macs


def measure_speed(problem: Problem) -> Speed:
    """Time a few training steps; this takes some seconds.

    Args:
        problem: The network space, the images and the training settings.
    """
    config, space = problem.config, problem.space
    if space.skeleton.given is not None:
        return _speed_with_backbone(problem)
    training = with_budget(capped(config), config, space)
    pool = backbone_pool(space, config.seed, training.max_macs)
    images_per_s = _supernet_speed(problem)
    networks = _networks(space, pool)
    macs = np.array([exit_costs(one, space.skeleton).cumulative[-1] for one in networks], dtype=np.float64)
    seconds = np.array([time_network(problem, one, space.skeleton) for one in networks])
    slope, offset = np.polyfit(macs, seconds, 1)
    if slope < 0 or offset < 0:  # noise of a busy machine
        slope, offset = 0.0, float(seconds.mean())
    return Speed(
        supernet_s=len(step_networks(training)) / images_per_s,
        network_s=float(offset),
        network_s_per_mac=float(slope),
    )


def _speed_with_backbone(problem: Problem) -> Speed:
    """Return the speeds with a given backbone, whose networks all take about the same time in training."""
    config, space = problem.config, problem.space
    training = with_budget(capped(config), config, space).model_copy(update={"epochs": 1})
    count = STEPS * training.batch_size
    images = problem.splits.train.subset(torch.arange(min(count, len(problem.splits.train))))
    few = replace(problem, splits=replace(problem.splits, train=images))
    started = time.perf_counter()
    silent = RunProgress(PlainConsole(stderr=True), quiet=True)
    data = supernet_data(few, training, folder=None, progress=silent)
    features_s = (time.perf_counter() - started) / len(images)
    supernet = BranchSupernet(space.declaration, space.skeleton, config.seed).to(problem.device)
    reports: list[EpochReport] = []
    for _ in range(2):
        train_supernet(supernet, space, data, config=training, seed=config.seed, recorder=Recorder(reports.append))
    return Speed(
        supernet_s=len(step_networks(training)) / reports[-1].images_per_s,
        network_s=time_network(problem, extreme_network(space, "most expensive"), space.skeleton),
        network_s_per_mac=0.0,
        features_s=features_s,
    )


def _networks(space: NetworkSpace, pool: BackbonePool) -> list[Architecture]:
    """Return a cheap, a medium and an expensive network of a pool, with all exits and random branches."""
    last = len(pool.strata) - 1
    chosen = [pool.strata[last * step // (NETWORKS - 1)] for step in range(NETWORKS)]
    found = []
    for stratum in chosen:
        single = BackbonePool((stratum[:1],), stratum[0], stratum[0])
        sampler = TrainingSampler(space, np.random.default_rng(0), has_balanced_branches=False, pool=single)
        found.append(sampler.draw("random"))
    return found


def _supernet_speed(problem: Problem) -> float:
    """Return images per second, summed over the networks of a step."""
    config, space = problem.config, problem.space
    training = with_budget(capped(config), config, space).model_copy(update={"epochs": 1, "processes": 1})
    data = _few(training_data(problem, training), STEPS * training.batch_size)
    supernet = Supernet(config.space, space.skeleton, config.seed).to(problem.device)
    reports: list[EpochReport] = []
    for _ in range(2):  # the first pass compiles kernels
        train_supernet(supernet, space, data, config=training, seed=config.seed, recorder=Recorder(reports.append))
    return reports[-1].images_per_s


def time_network(problem: Problem, network: Architecture, skeleton: Skeleton) -> float:
    """Time a few steps of one network and return the seconds per training image.

    Args:
        problem: The images and the training settings.
        network: The network.
        skeleton: The fixed part of its space.
    """
    config = problem.config
    # The first of two epochs compiles kernels, and on a GPU the network.
    recipe = config.final_training.model_copy(update={"epochs": 2, "processes": 1, "teacher": None, "joint_loss": None})
    data = _few(training_data(problem, recipe), NETWORK_STEPS * recipe.batch_size)
    reports: list[EpochReport] = []
    recorder = Recorder(reports.append)
    if skeleton.given is None:
        train_from_scratch(network, skeleton, data, config=recipe, seed=config.seed, recorder=recorder)
    else:
        train_given(problem, network, data, config=recipe, recorder=recorder)
    return 1.0 / reports[-1].images_per_s if reports else UNTRAINED_S  # a given backbone without exits


def _few(data: TrainingData, count: int) -> TrainingData:
    return replace(data, images=data.images[:count], labels=data.labels[:count])


class Stopwatch:
    """Stopwatch that starts on construction, on top of earlier time.

    Args:
        spent_s: Seconds that earlier processes of the same run spent.
    """

    def __init__(self, spent_s: float = 0.0) -> None:
        self._before = spent_s - time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds spent so far."""
        return self._before + time.monotonic()
