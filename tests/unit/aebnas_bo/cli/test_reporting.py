import json

import pytest

from aebnas_bo.cli.reporting import show


def test_a_result_is_shown_to_a_program_or_to_a_reader(capsys: pytest.CaptureFixture[str]) -> None:
    drawn = []
    show({"a": 1.5}, lambda stdout: drawn.append(stdout.width), as_json=True, width=77)
    assert json.loads(capsys.readouterr().out) == {"a": 1.5}
    assert not drawn
    show({"a": 1.5}, lambda stdout: stdout.print(f"{stdout.width} wide"), as_json=False, width=77)
    assert capsys.readouterr().out == "77 wide\n"


def test_a_number_that_is_not_finite_is_no_result() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        show({"a": float("nan")}, lambda stdout: stdout.print(""), as_json=True)
