import pytest
import torch
import torch.nn.functional as F

from aebnas_bo.space.architecture import Architecture, Block, ExitBranch, Stage
from aebnas_bo.training.losses import (
    balanced_weights,
    exit_loss,
    output_targets,
    output_weights,
    smoothed,
    soft_labels,
    weights_of_images,
)

LINEAR = ExitBranch(())
STAGES = (Stage(4, (Block(3, 1),)),) * 3


def test_weights_are_those_of_the_exits_that_exist() -> None:
    architecture = Architecture(8, STAGES, (None, LINEAR))
    assert output_weights(architecture, (5.0, 1.0, 3.0)) == (0.5, 1.5)
    assert output_weights(architecture, None) == (1.0, 1.0)
    assert output_weights(Architecture(8, STAGES, (None, None)), (5.0, 1.0, 3.0)) == (1.0,)


def test_loss_is_the_weighted_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 5, 3, generator=generator)
    labels, soft = torch.tensor([0, 1, 2, 0, 1]), torch.full((5, 3), 1 / 3)
    loss = exit_loss([one, other], [labels, soft], [0.25, 0.75], label_smoothing=0.1)
    expected = 0.25 * F.cross_entropy(one, labels, label_smoothing=0.1) - 0.75 * other.log_softmax(1).mean(1).mean()
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("output", [0, 1])
def test_every_output_of_positive_weight_gets_a_gradient(output: int) -> None:
    outputs = [torch.zeros(4, 3, requires_grad=True) for _ in range(2)]
    exit_loss(outputs, [torch.zeros(4, dtype=torch.long)] * 2, [0.5, 0.5], label_smoothing=0.0).backward()
    assert outputs[output].grad is not None
    assert outputs[output].grad.abs().sum() > 0


def test_smoothed_labels() -> None:
    assert smoothed(torch.tensor([1]), 4, 0.2).tolist() == [pytest.approx([0.05, 0.85, 0.05, 0.05])]


def test_smoothed_labels_as_targets_equal_label_smoothing() -> None:
    logits, labels = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3, 0, 1])
    torch.testing.assert_close(
        F.cross_entropy(logits, smoothed(labels, 4, 0.1)), F.cross_entropy(logits, labels, label_smoothing=0.1)
    )


def test_a_teacher_gets_no_gradient() -> None:
    assert not soft_labels(torch.zeros(2, 3, requires_grad=True)).requires_grad


def test_early_exits_learn_half_from_the_final_one() -> None:
    outputs = [torch.zeros(1, 2), torch.tensor([[0.0, 100.0]])]
    early, final = output_targets(outputs, torch.tensor([0]), has_exit_distillation=True, label_smoothing=0.0)
    assert early.tolist() == [[0.5, 0.5]]
    assert final.tolist() == [0]


def test_mixed_targets_are_not_smoothed_again() -> None:
    mixed = torch.tensor([[0.5, 0.5]])
    early, final = output_targets([torch.zeros(1, 2)] * 2, mixed, has_exit_distillation=True, label_smoothing=0.5)
    assert early.tolist() == [[0.5, 0.5]]
    assert final is mixed


def test_balanced_classes_count_alike() -> None:
    labels = torch.tensor([0] * 6 + [1] * 3)
    weights = balanced_weights(labels, 3)
    torch.testing.assert_close(weights[:2], torch.tensor([9 / 18, 9 / 9]))
    of_images = weights_of_images(labels, weights)
    assert float(of_images[:6].sum()) == pytest.approx(float(of_images[6:].sum())) == pytest.approx(3.0)


def test_mixed_images_weigh_as_much_as_the_classes_in_them() -> None:
    mixed = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    torch.testing.assert_close(weights_of_images(mixed, torch.tensor([0.5, 2.0])), torch.tensor([1.625, 0.5]))


@pytest.mark.parametrize(
    "targets", [torch.tensor([0, 1]), torch.tensor([[0.9, 0.1], [0.2, 0.8]])], ids=["labels", "mixed"]
)
def test_weighed_images_change_the_loss_by_their_weights(targets: torch.Tensor) -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 0.25]])
    alone = [float(exit_loss([one[None]], [target[None]], [1.0], label_smoothing=0.1))
             for one, target in zip(logits, targets, strict=True)]  # fmt: skip
    found = exit_loss([logits], [targets], [1.0], label_smoothing=0.1, image_weights=torch.tensor([0.5, 3.0]))
    assert float(found) == pytest.approx((0.5 * alone[0] + 3.0 * alone[1]) / 2)
