from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from aebnas_bo.training.joint_loss import Targets, joint_loss, joint_terms, leaving_probabilities, support_accuracy
from aebnas_bo.training.settings import JointLossConfig

MACS, BUDGET = (100, 250, 700), 150.0
LABELS = torch.tensor([0, 2, 1, 1])
BY_LABEL = Targets(LABELS, LABELS)
SUPPORT = torch.tensor([[0.9, 1.0], [0.2, 0.6], [0.5, 0.7]], dtype=torch.float64)


def outputs(seed: int = 0, kind=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(4, 4), (4, 4), (4, 3)]  # three classes; two exits with a confidence, the final classifier without
    return [torch.randn(shape, generator=generator, dtype=kind) for shape in shapes]


def terms_of(given, targets: Targets, macs=MACS, max_macs=BUDGET, support=SUPPORT, label_smoothing: float = 0.0):
    return joint_terms(
        given, targets, macs=macs, max_macs=max_macs, support_accuracy=support, label_smoothing=label_smoothing
    )


def terms(*given: torch.Tensor):
    return terms_of(given, BY_LABEL, label_smoothing=0.1)


def test_every_image_leaves_somewhere() -> None:
    found = leaving_probabilities(torch.tensor([[0.5, 1.0, 0.0], [0.2, 0.3, 0.0]]))
    expected = torch.tensor([[0.5, 1.0, 0.0], [0.1, 0.0, 0.0], [0.4, 0.0, 1.0]])
    torch.testing.assert_close(found, expected)
    assert leaving_probabilities(torch.zeros(0, 3)).tolist() == [[1.0, 1.0, 1.0]]


def test_terms_equal_a_loop_over_images() -> None:
    given = outputs()
    expected = {"classes": 0.0, "confidence": 0.0, "peak": 0.0}
    cost = 0.0
    for image, label in enumerate(LABELS.tolist()):
        going_on = 1.0
        for k, output in enumerate(given):
            sure = output[image, 3].sigmoid().item() if k < 2 else 1.0
            leaves, going_on = going_on * sure, going_on * (1.0 - sure)
            smooth = torch.full((3,), 0.1 / 3, dtype=torch.float64)
            smooth[label] += 0.9
            expected["classes"] -= leaves * (smooth * output[image, :3].log_softmax(dim=0)).sum().item() / 4
            cost += leaves * MACS[k] / 4
            if k < 2:
                right = float(output[image, :3].argmax() == label)
                target = torch.tensor(right, dtype=torch.float64)
                expected["confidence"] += F.binary_cross_entropy(output[image, 3].sigmoid(), target).item() / 4
                expected["peak"] += (SUPPORT[label, k].item() - sure) ** 2 / 4
    found = terms(*given)
    for name, value in expected.items():
        assert getattr(found, name).item() == pytest.approx(value), name
    assert found.cost.item() == pytest.approx((cost - BUDGET) / (700 - BUDGET))
    assert found.cost > 0


@pytest.mark.parametrize("name", ["classes", "confidence", "cost", "peak"])
def test_gradients_equal_finite_differences(name: str) -> None:
    given = [output.requires_grad_(True) for output in outputs(1)]
    assert torch.autograd.gradcheck(lambda *one: getattr(terms(*one), name), given)


@pytest.mark.parametrize(
    ("name", "moves_classes", "moves_confidences"),
    [("classes", True, True), ("confidence", False, True), ("cost", False, True), ("peak", False, True)],
)
def test_each_term_has_a_gradient_where_it_should(name: str, moves_classes: bool, moves_confidences: bool) -> None:
    given = [output.requires_grad_(True) for output in outputs(2)]
    gradients = torch.autograd.grad(getattr(terms(*given), name), given, allow_unused=True, materialize_grads=True)
    for gradient in gradients[:2]:
        assert bool((gradient[:, :3] != 0).all()) == moves_classes
        assert bool((gradient[:, 3] != 0).all()) == moves_confidences


def test_the_cost_term_teaches_to_leave_earlier_until_the_budget_is_kept() -> None:
    given = [output.requires_grad_(True) for output in outputs(3)]
    optimizer = torch.optim.Adam(given, lr=0.3)
    for _ in range(200):
        optimizer.zero_grad()
        terms(*given).cost.backward()
        optimizer.step()
    assert terms(*given).cost.item() == 0.0
    sure = torch.stack([output[:, 3].sigmoid() for output in given[:2]])
    assert (leaving_probabilities(sure) * torch.tensor(MACS)[:, None]).sum(dim=0).mean().item() <= BUDGET + 1e-6


def test_the_peak_term_draws_confidences_to_what_exits_get_right() -> None:
    given = [output.requires_grad_(True) for output in outputs(4)]
    optimizer = torch.optim.Adam(given, lr=0.1)
    for _ in range(500):
        optimizer.zero_grad()
        terms(*given).peak.backward()
        optimizer.step()
    sure = torch.stack([output[:, 3].sigmoid() for output in given[:2]], dim=-1)
    torch.testing.assert_close(sure, SUPPORT[LABELS], atol=0.05, rtol=0)


def test_a_network_within_the_budget_costs_nothing() -> None:
    found = terms_of(outputs(), BY_LABEL, max_macs=700.0)
    assert found.cost.item() == 0.0


def test_a_network_without_exits_has_its_classes_alone() -> None:
    [final] = outputs()[2:]
    found = terms_of([final], BY_LABEL, MACS[2:], support=SUPPORT[:, :0])
    assert found.classes.item() == pytest.approx(F.cross_entropy(final, LABELS).item())
    assert found.confidence.item() == found.peak.item() == 0.0


def test_probabilities_as_targets() -> None:
    given, soft = outputs(), F.one_hot(LABELS, 3).double()
    by_label, by_share = (terms_of(given, targets) for targets in (BY_LABEL, Targets(soft, soft)))
    torch.testing.assert_close(by_share.classes, by_label.classes)
    torch.testing.assert_close(by_share.peak, by_label.peak)


def test_a_teachers_answer_is_learned_but_not_taken_for_right() -> None:
    given, teacher = outputs(), F.one_hot((LABELS + 1) % 3, 3).double()
    by_teacher = terms_of(given, Targets(teacher, LABELS), label_smoothing=0.1)
    plain = terms(*given)
    assert by_teacher.classes != plain.classes
    assert by_teacher.confidence == plain.confidence
    assert by_teacher.peak == plain.peak


def test_terms_are_weighed() -> None:
    config = JointLossConfig(class_weight=2.0, cost_weight=3.0, peak_weight=5.0, max_macs=BUDGET / 1e6)
    given = outputs()
    found = terms(*given)
    expected = 2.0 * found.classes + found.confidence + 3.0 * found.cost + 5.0 * found.peak
    loss = joint_loss(given, BY_LABEL, macs=MACS, support_accuracy=SUPPORT, config=config, label_smoothing=0.1)
    torch.testing.assert_close(loss, expected)


def test_support_accuracy_is_a_share_of_each_class() -> None:
    labels = torch.tensor([0, 0, 1, 1, 1, 1])
    answers = torch.tensor([0, 1, 1, 1, 1, 0])

    def network(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        rows = images.flatten().long()
        early = torch.cat([F.one_hot(answers[rows], 2).float(), torch.full((len(rows), 1), 9.0)], dim=1)
        return early, F.one_hot(labels[rows], 2).float()

    found = support_accuracy([network], torch.arange(6.0).reshape(6, 1, 1, 1), labels, batch_size=4)
    assert found.tolist() == [[0.5], [0.75]]
    other = support_accuracy(
        [network, lambda x: (network(x)[1], network(x)[1])], torch.arange(6.0).reshape(6, 1, 1, 1), labels, batch_size=4
    )
    assert other.tolist() == [[0.75], [0.875]]


def test_support_images_go_in_batches_of_equal_size() -> None:
    sizes = []

    def network(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        sizes.append(len(images))
        return torch.zeros(len(images), 3), torch.zeros(len(images), 2)

    support_accuracy([network], torch.zeros(9, 1, 1, 1), torch.arange(9) % 2, batch_size=8)
    assert sizes == [5, 4]  # BatchNorm refuses a batch of one image


def test_weights_of_images_change_the_classes_alone() -> None:
    given = outputs()
    weighed = terms_of(given, replace(BY_LABEL, weights=torch.tensor([1.0, 0.0, 0.0, 3.0])), label_smoothing=0.1)
    alike = terms(*given)
    single = [
        terms_of(
            [one[at : at + 1] for one in given], Targets(LABELS[at : at + 1], LABELS[at : at + 1]), label_smoothing=0.1
        )
        for at in (0, 3)
    ]
    assert float(weighed.classes) == pytest.approx((float(single[0].classes) + 3.0 * float(single[1].classes)) / 4)
    assert (weighed.confidence, weighed.cost, weighed.peak) == (alike.confidence, alike.cost, alike.peak)
