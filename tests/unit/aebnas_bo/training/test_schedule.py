import pytest

from aebnas_bo.training.schedule import learning_rate
from aebnas_bo.training.settings import TrainingConfig


def test_learning_rate_warms_up_and_falls_to_zero() -> None:
    config = TrainingConfig(epochs=10, learning_rate=0.1, warmup_epochs=2.0)
    rates = [learning_rate(epoch, config) for epoch in (0.0, 1.0, 2.0, 6.0, 10.0)]
    assert rates == pytest.approx([0.0005, 0.0505, 0.1, 0.05, 0.0])
    assert learning_rate(0.0, config.model_copy(update={"warmup_epochs": 0.0})) == 0.1


def test_a_short_training_warms_up_for_a_fifth_of_it_at_most() -> None:
    config = TrainingConfig(epochs=5, learning_rate=0.1, warmup_epochs=2.0)
    assert learning_rate(1.0, config) == pytest.approx(0.1)
