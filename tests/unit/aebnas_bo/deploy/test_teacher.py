"""A teacher is used only where it knows more than the student."""

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from aebnas_bo.data.augmentation import Augmentation
from aebnas_bo.data.images import LabelledImages
from aebnas_bo.data.settings import AugmentationConfig
from aebnas_bo.data.splits import Splits
from aebnas_bo.deploy import teacher as teaching
from aebnas_bo.deploy.teacher import TeacherCheck, stored_check, with_soft_labels
from aebnas_bo.errors import UsageError
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.training.settings import FinalTrainingConfig, TeacherConfig
from aebnas_bo.training.training_loop import TrainingData


@pytest.mark.parametrize(
    ("teacher", "student", "is_useful"), [(70.0, 66.0, True), (67.0, 66.0, False), (61.0, 87.0, False)]
)
def test_teacher_must_be_more_accurate_by_more_than_a_standard_error(
    teacher: float, student: float, is_useful: bool
) -> None:
    check = TeacherCheck(teacher, student, 5, sem=1.0)
    assert check.is_useful == is_useful
    assert ("is used" in str(check)) == is_useful
    assert f"{teacher:.1f} %" in str(check)


def test_labels_and_predictions_are_learned_in_equal_parts() -> None:
    grey = LabelledImages(torch.full((3, 1, 2, 2), 128, dtype=torch.uint8), torch.tensor([0, 1, 1]))
    grey.images[0, :, :, 0] = 255  # bright on the left
    splits = Splits(grey, grey, grey, grey, mean=(0.5,), std=(0.25,), class_names=("left", "right"))

    def teacher(images: Tensor) -> Tensor:  # sure of the brighter half
        return 50.0 * torch.stack([images[:, 0, :, 0].mean(dim=1), images[:, 0, :, 1].mean(dim=1)], dim=1)

    def taught(**transforms: bool) -> list[list[list[float]]]:
        augmentation = Augmentation.of(AugmentationConfig(**transforms), splits)
        data = TrainingData(grey.images, grey.labels, augmentation)
        found = with_soft_labels(data, teacher, splits=splits, label_smoothing=0.2)
        assert found.images is data.images
        return found.labels.tolist()

    assert taught() == [[pytest.approx([0.95, 0.05])], [pytest.approx([0.3, 0.7])], [pytest.approx([0.3, 0.7])]]
    flipped = taught(horizontal_flip=True)[0]
    assert flipped == [pytest.approx([0.95, 0.05]), pytest.approx([0.45, 0.55])]  # flipped, the right half is bright


def test_check_is_made_once_per_training(tmp_path: Path) -> None:
    made: list[TeacherCheck] = []

    def check() -> TeacherCheck:
        made.append(TeacherCheck(70.0 + len(made), 60.0, 5, 1.0))
        return made[-1]

    path = tmp_path / "teacher.json"
    assert stored_check(path, "one", check) == stored_check(path, "one", check) == made[0]
    assert stored_check(path, "two", check) == made[1]
    path.write_text(json.dumps({"fingerprint": "two", "teacher": 1.0}))  # damaged
    assert stored_check(path, "two", check) == made[2]


def test_a_network_trained_before_teaches_by_its_final_classifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Known(nn.Module):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            sure = torch.tensor([[0.0, 60.0]]).expand(len(images), 2)
            return -sure, sure  # an exit that disagrees, and the final classifier

    grey = LabelledImages(torch.full((2, 1, 2, 2), 128, dtype=torch.uint8), torch.tensor([0, 1]))
    splits = Splits(grey, grey, grey, grey, mean=(0.5,), std=(0.25,), class_names=("left", "right"))
    data = TrainingData(grey.images, grey.labels, Augmentation.of(AugmentationConfig(), splits))
    folder, said = RunFolder(tmp_path), []
    recipe = FinalTrainingConfig(teacher=TeacherConfig(source="trained", network="aaa-seed0"), label_smoothing=0.0)
    description = SimpleNamespace(validation=SimpleNamespace(accuracy=71.25))
    monkeypatch.setattr(teaching, "load_network", lambda *_, **__: (Known(), description))

    def taught(config_of_training: FinalTrainingConfig) -> TrainingData:
        return teaching.taught_by_trained(
            folder, data, config_of_training,
            problem=SimpleNamespace(splits=splits),  # type: ignore[arg-type]
            progress=SimpleNamespace(message=said.append),  # type: ignore[arg-type]
        )  # fmt: skip

    assert taught(FinalTrainingConfig()) is data
    with pytest.raises(UsageError, match="has no trained network aaa-seed0; train one with `aebnas-bo train`"):
        taught(recipe)
    other = folder.trained / "bbb-seed0" / "network.safetensors"
    other.parent.mkdir(parents=True)
    other.touch()
    with pytest.raises(UsageError, match="no trained network aaa-seed0; it has bbb-seed0"):
        taught(recipe)
    other.parent.rename(folder.trained / "aaa-seed0")
    torch.testing.assert_close(taught(recipe).labels, torch.tensor([[[0.5, 0.5]], [[0.0, 1.0]]]))
    assert said == ["teacher: aaa-seed0, 71.2 % validation accuracy"]


@pytest.mark.parametrize(
    ("settings", "is_valid"),
    [({"source": "trained", "network": "aaa-seed0"}, True), ({"source": "trained"}, False),
     ({"network": "aaa-seed0"}, False), ({"source": "trained", "network": "../other"}, False),
     ({"source": "trained", "network": "aaa-seed0", "epochs": 3}, False)],
)  # fmt: skip
def test_only_a_network_trained_before_is_named(settings: dict[str, object], is_valid: bool) -> None:
    with nullcontext() if is_valid else pytest.raises(ValidationError):
        TeacherConfig.model_validate(settings)
