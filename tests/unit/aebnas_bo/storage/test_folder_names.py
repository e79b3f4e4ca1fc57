import pytest

from aebnas_bo.storage.folder_names import folder_name_problem


@pytest.mark.parametrize(
    "name", ["digits", "cifar10-mini", "a b", "写真", "fleurs_été", "[bold]x", "v1.2", "x" * 80, "consul"]
)
def test_names_of_studies_can_be_those_of_folders(name: str) -> None:
    assert folder_name_problem(name) is None


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../../escape", "holds / or"), ("a\\b", "holds / or"), ("/etc", "holds / or"),
        ("..", "begins with a dot"), (".hidden", "begins with a dot"), ("-rf", "a dash"), ("~root", "a tilde"),
        ("a ", "ends with"), ("a.", "ends with"), ("a\nb", "cannot be shown"), ("a\0b", "cannot be shown"),
        ("a\u202eb", "cannot be shown"), ("a\udce9", "cannot be shown"), ("a:b", "holds one of"),
        ("what?", "holds one of"),
        ("CON", "device"), ("nul.txt", "device"), ("写" * 80, "longer than 200 bytes"),
    ],
)  # fmt: skip
def test_other_names_are_refused_with_a_reason(name: str, problem: str) -> None:
    assert problem in str(folder_name_problem(name))
