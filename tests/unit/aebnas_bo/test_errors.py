import pytest

from aebnas_bo import errors


@pytest.mark.parametrize(
    ("name", "code", "builtin"),
    [
        ("UsageError", 2, ValueError),
        ("ConfigError", 3, ValueError),
        ("SearchSpaceError", 3, ValueError),
        ("DataError", 4, ValueError),
        ("RunFolderInUseError", 5, RuntimeError),
        ("TooManyFailedTrialsError", 6, RuntimeError),
        ("TrainingDivergedError", 6, RuntimeError),
        ("CorruptStateError", 7, RuntimeError),
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
