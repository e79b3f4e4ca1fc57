import pytest
from pydantic import ValidationError

from aebnas_bo.execution.settings import ExecutionConfig


def test_one_process_is_the_default() -> None:
    assert (ExecutionConfig().engine, ExecutionConfig().workers) == ("serial", 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"workers": 4}, "serial evaluates one trial at a time, but workers is 4; set engine: ray"),
        ({"engine": "ray", "gpus_per_worker": 1.5}, "a share below 1 or a whole number of GPUs, got 1.5"),
        ({"engine": "ray", "lease_s": 0.5}, "greater than or equal to 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(given, message) -> None:
    with pytest.raises(ValidationError, match=message):
        ExecutionConfig(**given)
