import subprocess
import sys
from pathlib import Path

import pytest

IMPORTS = """
import aebnas_bo as ab
ab.Study, ab.ax_client, ab.generation_strategy
print("imported", flush=True)
import logging, torch
logging.getLogger("ax.core").warning("of somebody else")
@torch.jit.script
def mine(x: int) -> int:
    return x
"""


@pytest.mark.slow
def test_libraries_are_quiet_on_import_and_the_warnings_of_the_user_stay(tmp_path: Path) -> None:
    script = tmp_path / "script.py"  # TorchScript reads the source
    script.write_text(IMPORTS)
    result = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert result.stdout == "imported\n"
    assert result.stderr.count("torch.jit.script` is deprecated") == 1  # of the user's own function
    assert "Ax SQL storage" not in result.stderr
    assert "of somebody else" in result.stderr
