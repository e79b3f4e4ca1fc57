import pytest
from pydantic import ValidationError, create_model

from aebnas_bo import errors


@pytest.mark.parametrize(
    ("name", "code", "builtin"),
    [
        ("UsageError", 2, ValueError),
        ("ConfigError", 3, ValueError),
        ("SearchSpaceError", 3, ValueError),
        ("DataError", 4, ValueError),
        ("RunFolderInUseError", 5, RuntimeError),
        ("LostTrialError", 5, ValueError),
        ("TooManyFailedTrialsError", 6, RuntimeError),
        ("TrainingDivergedError", 6, RuntimeError),
        ("CorruptStateError", 7, RuntimeError),
        ("StorageError", 8, OSError),
        ("OutOfMemoryError", 8, MemoryError),
    ],
)
def test_errors_have_their_exit_code_and_are_builtins_too(name: str, code: int, builtin: type[Exception]) -> None:
    error = getattr(errors, name)("what happened")
    assert isinstance(error, errors.AebnasError)
    assert isinstance(error, builtin)
    assert error.exit_code == code
    assert str(error) == "what happened"


def test_configuration_errors_keep_every_problem() -> None:
    error = errors.ConfigError(["a: wrong", "b: wrong"])
    assert error.problems == ("a: wrong", "b: wrong")
    assert str(error) == "a: wrong\nb: wrong"


def test_a_stop_is_no_exception_that_handlers_of_failures_catch() -> None:
    assert not isinstance(errors.StopRequested(15), Exception)
    assert errors.StopRequested(15).exit_code == 143


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            '{"pair": [1, "x"], "other": 1}',
            "pair.1: Input should be a valid integer, unable to parse string as an integer",
        ),
        ('{"pair": [], "other": "x"}', "pair.0: Field required (3 problems in all)"),
        ("{}", "pair: Field required (2 problems in all)"),
        ("garbage", "Invalid JSON: expected value at line 1 column 1"),
    ],
)
def test_the_first_problem_of_a_file_is_said_with_its_place(text: str, sentence: str) -> None:
    model = create_model("Model", pair=tuple[int, int], other=int)
    with pytest.raises(ValidationError) as found:
        model.model_validate_json(text)
    assert errors.first_problem(found.value) == sentence
