import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_make_attack_runs_every_campaign() -> None:
    modules = {path.stem for path in (ROOT / "tests/attack").glob("*.py") if "\ndef main(" in path.read_text()}
    [campaigns] = re.findall(r"^CAMPAIGNS := (.+)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    counts = re.findall(r"^(attack-\w+): CASES := [1-9]", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert set(campaigns.split()) == set(counts) == {f"attack-{module}" for module in modules}
    assert len(modules) > 4
