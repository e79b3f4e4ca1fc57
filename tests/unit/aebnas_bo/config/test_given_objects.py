import pytest

from aebnas_bo.config.given_objects import given_objects
from aebnas_bo.config.loading import load_config


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([], ()),
        (["data.dataset=given", "estimation.estimator=Mine"], ("train", "estimator")),
        (["search.strategy=given"], ("strategy",)),
        (["search.objectives=[accuracy, average_macs, given]"], ("objective",)),
    ],
)
def test_what_came_from_python_is_needed_again(settings: list[str], expected: tuple[str, ...]) -> None:
    assert given_objects(load_config(None, settings)) == expected
