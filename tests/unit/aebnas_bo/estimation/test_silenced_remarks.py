import logging
import sys
import warnings

import pytest

from aebnas_bo.estimation.silenced_remarks import TALKATIVE, without_remarks


def talk_and_fail() -> None:
    with without_remarks():
        sys.stdout.write("note")
        warnings.warn("careful", stacklevel=1)
        logging.getLogger(TALKATIVE[0]).warning("remark")
        logging.getLogger(TALKATIVE[0]).error("trouble")
        raise KeyError


def test_remarks_are_swallowed_and_errors_are_not(capsys, caplog) -> None:
    before = logging.getLogger(TALKATIVE[0]).level
    with pytest.raises(KeyError):
        talk_and_fail()
    assert capsys.readouterr().out == ""
    assert [record.message for record in caplog.records] == ["trouble"]
    assert logging.getLogger(TALKATIVE[0]).level == before
