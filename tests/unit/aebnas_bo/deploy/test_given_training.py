import pytest
import torch

from aebnas_bo.config.loading import load_config
from aebnas_bo.data.augmentation import Augmentation
from aebnas_bo.data.images import LabelledImages
from aebnas_bo.data.settings import AugmentationConfig
from aebnas_bo.data.splits import Splits
from aebnas_bo.deploy.given_training import ClassifierAccuracy, kept_accuracy, taught_by_original
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.supernet.subnet import Subnet
from aebnas_bo.training.settings import FinalTrainingConfig
from aebnas_bo.training.training_loop import TrainingData


class Constant(torch.nn.Module):
    """Predicts class 1 with logits of 2."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (torch.tensor([[0.0, 2.0, 0.0]]).repeat(len(images), 1),)


@pytest.fixture
def problem() -> Problem:
    images = torch.zeros(20, 3, 8, 8, dtype=torch.uint8)
    part = LabelledImages(images, torch.arange(20) % 3)
    splits = Splits(part, part, part, part, ("a", "b", "c"), mean=(0.5,) * 3, std=(0.5,) * 3)
    return Problem.of(load_config(None, ["space.preset=tiny"]), splits)


def test_a_lower_accuracy_than_the_original_one_names_the_setting() -> None:
    assert "lower final_training.backbone_rate" not in str(ClassifierAccuracy(original=80.0, trained=79.5, sem=0.6))
    worse = str(ClassifierAccuracy(original=80.0, trained=79.0, sem=0.6))
    assert "79.0 % of the validation images, the original network 80.0 %; lower final_training.backbone_rate" in worse


def test_the_final_classifier_is_compared_on_the_validation_images(problem: Problem) -> None:
    kept = kept_accuracy(50.0, Constant(), problem)
    assert kept.trained == pytest.approx(100 * 7 / 20)  # labels 0, 1, 2, 0, 1 ...
    assert kept.sem == pytest.approx(100 * (0.25 / 20) ** 0.5)


def test_only_the_teacher_original_changes_the_targets(problem: Problem) -> None:
    part = problem.splits.train
    data = TrainingData(part.images, part.labels, Augmentation.of(AugmentationConfig(), problem.splits))
    subnet: Subnet = Constant()
    assert taught_by_original(subnet, data, FinalTrainingConfig(), problem=problem) is data
    recipe = FinalTrainingConfig.model_validate({"teacher": {"source": "original"}, "label_smoothing": 0.0})
    taught = taught_by_original(subnet, data, recipe, problem=problem)
    probability = float(torch.tensor([0.0, 2.0, 0.0]).softmax(0)[1])
    assert float(taught.labels[0, 0, 0]) == pytest.approx(0.5 * (1.0 + (1 - probability) / 2))
    assert float(taught.labels[0, 0, 1]) == pytest.approx(0.5 * probability)
