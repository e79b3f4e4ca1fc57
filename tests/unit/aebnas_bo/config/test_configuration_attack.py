from itertools import count
from pathlib import Path

import pytest

from aebnas_bo.config.loading import load_config
from aebnas_bo.errors import ConfigError
from tests.attack.configuration import HangError, check, main, run_campaign, time_limit


@pytest.mark.slow
def test_random_mistakes_end_in_a_configuration_or_a_short_refusal() -> None:
    counts = run_campaign(60, seed=0)
    assert (counts.cases, counts.failures) == (60, 0), counts.reports
    assert counts.accepted > 4  # else it would attack nothing behind the reader


@pytest.mark.slow
def test_the_campaign_prints_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--count", "3", "--seed", "1"]) == 0
    assert capsys.readouterr().out.startswith("configuration: 3 cases, 0 tracebacks, 0 hangs, 0 wrong results")


def test_the_campaign_sees_what_goes_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, other = load_config(None), load_config(None, ["seed=1"])
    assert check(lambda: config, tmp_path, "") is None
    assert check(iter([config, other]).__next__, tmp_path, "") == "loaded twice, it differs"
    assert check(lambda: config, tmp_path, "a: {b: 1, b: 2}") == "accepted although a key stands in it twice"
    for problems, wrong in (("a" * 3000, "3000 characters"), ((), "without a reason"), ("a\nb", "more than lines")):

        def refuse(problems: tuple[str, ...] | str = problems) -> None:
            raise ConfigError(problems)

        assert wrong in (check(refuse, tmp_path, "") or "")
    monkeypatch.setattr("tests.attack.configuration.dump_config", lambda config: "seed: 3")
    monkeypatch.setattr("tests.attack.configuration.parse_config", lambda text, origin: other)
    assert check(lambda: config, tmp_path, "") == "written and read, it differs"


def test_a_case_that_hangs_is_stopped() -> None:
    with pytest.raises(HangError), time_limit(0.05):
        sum(1 for _ in count())
