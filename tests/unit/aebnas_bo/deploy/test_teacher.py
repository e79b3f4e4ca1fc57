"""A teacher is used only where it knows more than the pupil."""

import json
from pathlib import Path

import pytest

from aebnas_bo.deploy.teacher import TeacherCheck, stored_check


@pytest.mark.parametrize(
    ("teacher", "pupil", "is_useful"), [(70.0, 66.0, True), (67.0, 66.0, False), (61.0, 87.0, False)]
)
def test_teacher_must_be_more_accurate_by_more_than_a_standard_error(
    teacher: float, pupil: float, is_useful: bool
) -> None:
    check = TeacherCheck(teacher, pupil, 5, sem=1.0)
    assert check.is_useful == is_useful
    assert ("is used" in str(check)) == is_useful
    assert f"{teacher:.1f} %" in str(check)


def test_check_is_made_once_per_training(tmp_path: Path) -> None:
    made: list[TeacherCheck] = []

    def check() -> TeacherCheck:
        made.append(TeacherCheck(70.0 + len(made), 60.0, 5, 1.0))
        return made[-1]

    path = tmp_path / "teacher.json"
    assert stored_check(path, "one", check) == stored_check(path, "one", check) == made[0]
    assert stored_check(path, "two", check) == made[1]
    path.write_text(json.dumps({"fingerprint": "two", "teacher": 1.0}))  # damaged
    assert stored_check(path, "two", check) == made[2]
