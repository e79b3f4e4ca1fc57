import pytest

from tests.attack.databases import campaign


@pytest.mark.slow
def test_changed_databases_and_files_end_in_errors_or_in_the_same_results() -> None:
    said: list[str] = []
    tally = campaign(40, 2, show=said.append)
    assert said == []
    assert str(tally) == "databases: 40 cases, 0 tracebacks, 0 wrong results"
    assert min(tally.kinds["error"], tally.kinds["equal"]) > 12
