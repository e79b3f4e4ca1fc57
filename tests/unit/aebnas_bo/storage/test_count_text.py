import ast
import re
from pathlib import Path

from aebnas_bo.storage.count_text import counted

ROOT = Path(__file__).resolve().parents[4]
# Words that count and stand behind a number in a text; `classes` and the like are plural in every sentence with them.
NOUNS = "trials|epochs|networks|images|seeds|points|parts|threads"

NEVER_ONE = (  # sentences whose number is a list, a figure with digits, or more than one
    "tuning {} points", "{} images[", "of {} images", "got {} {} images", "{}: {} images in {} classes",
    "costs and {} images", "of {} networks tried", "none of {} trials", "about {} networks", "{} networks, by",
    "{}{} points {}", "{} seeds, standard error", "{} images/s", "at most {} seeds",
    "fewer than {} images for", "({} {}, {} {} images)", "one folder for {} images in", "{} images cannot be used",
    "expected {} images of shape", "{} images of these classes",
    "final trainings: {} epochs", "Classifies {} images",
)  # fmt: skip


def test_one_is_singular() -> None:
    assert counted(1, "trial") == "1 trial"
    assert counted(0, "trial") == "0 trials"
    assert counted(1200, "class", "classes") == "1,200 classes"
    assert counted(1, "class", "classes") == "1 class"


def test_no_message_puts_a_bare_plural_behind_a_number() -> None:
    found = []
    for path in sorted((ROOT / "aebnas_bo").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values)
                if re.search(rf"{{}} ({NOUNS})\b", text):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {text}")
    assert [line for line in found if not any(words in line for words in NEVER_ONE)] == []
