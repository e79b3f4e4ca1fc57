import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import nn

from aebnas_bo.config.loading import load_config
from aebnas_bo.data.transforms import normalize
from aebnas_bo.deploy.description import Figures, NetworkDescription, Origin, Output, OutputFigures
from aebnas_bo.early_exit.outputs_in_use import rows_in_use
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.space.architecture import Architecture, Block, BranchLayer, ExitBranch, Skeleton, Stage
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.study.running import run_study
from aebnas_bo.supernet.batchnorm import calibrate_batchnorm
from aebnas_bo.supernet.elastic_layers import channels_last
from aebnas_bo.supernet.subnet import Subnet

SIZE = 10
BRANCH = ExitBranch((BranchLayer("depthwise_separable", 3, 1, True, 0),))
RESIZING = ExitBranch((BranchLayer("dense", 3, 1, False, 6),))
ARCHITECTURE = Architecture(
    8, (Stage(6, (Block(3, 2),)), Stage(8, (Block(5, 2), Block(3, 1))), Stage(8, (Block(3, 2),))), (BRANCH, RESIZING)
)

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)

Make = Callable[..., tuple[Subnet, NetworkDescription]]


def varied_pixels(count: int, channels: int, generator: torch.Generator) -> torch.Tensor:
    """Coarse coloured patches, so that a network of random weights is sure of some images and unsure of others."""
    coarse = torch.rand(count, channels, 3, 3, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(SIZE, SIZE), mode="bilinear").clamp(0.0, 1.0)


def figures(names: list[str]) -> Figures:
    outputs = tuple(
        OutputFigures(name=n, exit_rate=1 / len(names), accuracy=90.0, accuracy_of_leaving=None, calibration_error=1.0)
        for n in names
    )
    return Figures(
        images=20, accuracy=90.0, accuracy_sem=1.0, average_macs=0.01, average_macs_without_passed=0.009,
        worst_case_macs=0.02, outputs=outputs,
    )  # fmt: skip


def with_large_weights(subnet: Subnet) -> Subnet:
    """Give a network weights whose features differ enough for images to leave at every output."""
    generator = torch.Generator().manual_seed(3)
    for module in subnet.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] ** 2 * module.out_channels // module.groups
            weight = torch.randn(module.weight.shape, generator=generator) * (2.0 / fan_out) ** 0.5
            module.weight = nn.Parameter(channels_last(weight))
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5, generator=generator)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    return subnet


@pytest.fixture(scope="session")
def make_network() -> Make:
    """Makes networks of three outputs with random weights, which read 10 x 10 pixels at 8 x 8."""

    def make(
        thresholds: tuple[float | None, ...] = (0.5, 0.25),
        confidence: str = "score_margin",
        exit_rule: str = "each",
        channels: int = 3,
        temperatures: tuple[float, ...] = (1.0, 1.0, 1.0),
        weights: tuple[tuple[float, ...], ...] = ((), (), ()),
        architecture: Architecture = ARCHITECTURE,
    ) -> tuple[Subnet, NetworkDescription]:
        skeleton = Skeleton(channels, 4, 4, 1, (1, 2, 1), (0, 1), 1, 0, "hardswish", confidence == "learned", (2,))
        subnet = with_large_weights(Subnet(architecture, skeleton))
        generator = torch.Generator().manual_seed(1)
        images = normalize((255 * varied_pixels(64, channels, generator)).byte(), MEAN[:channels], STD[:channels])
        calibrate_batchnorm(subnet, images, 64)
        for linear in subnet.classifiers():
            linear.weight.data.mul_(3.0)  # answers of all degrees of certainty
        costs, rows = exit_costs(architecture, skeleton).cumulative, rows_in_use(thresholds)
        outputs = tuple(
            Output(
                name=("exit1", "exit2", "final")[row], threshold=None if row == rows[-1] else thresholds[row],
                temperature=temperatures[row], weights=weights[row], macs=costs[row], macs_without_passed=costs[row],
            )
            for row in rows
        )  # fmt: skip
        of_outputs = figures([output.name for output in outputs])
        return subnet, NetworkDescription(
            key=architecture.key,
            architecture=architecture,
            skeleton=skeleton,
            class_names=("cat", "dog", "<b>emu</b>", "fox"),
            image_size=SIZE,
            mean=MEAN[:channels],
            std=STD[:channels],
            confidence=confidence,  # type: ignore[arg-type]
            exit_rule=exit_rule,  # type: ignore[arg-type]
            outputs=outputs,
            estimated_accuracy=88.0,
            validation=of_outputs,
            test=of_outputs,
            origin=Origin(
                study="made up", dataset="noise", train_images=32, seed=0, epochs=1, start="scratch", version="0",
                fingerprint="0",
            ),
        )  # fmt: skip

    return make


@pytest.fixture
def pixels() -> torch.Tensor:
    return varied_pixels(40, 3, torch.Generator().manual_seed(5))


SMALL = [
    "supernet.epochs=4", "supernet.random_subnets=1", "search.budget=8", "search.design_trials=6",
    "search.mc_samples=8", "search.pool_size=8", "search.rounds=0", "final_training.epochs=2", "supernet.cache=false",
]  # fmt: skip


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A small search on digits; tests that write into it copy it."""
    folder = RunFolder(tmp_path_factory.mktemp("deploy") / "run")
    run_study(Problem.load(load_config(None, SMALL)), folder, RunProgress(Console(stderr=True), quiet=True))
    return folder


@pytest.fixture
def own_run(finished_run: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of the search for one test."""
    return RunFolder(shutil.copytree(finished_run.path, tmp_path / "run"))
