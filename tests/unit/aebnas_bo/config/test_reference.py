from pathlib import Path
from typing import get_args

from aebnas_bo.config.reference import MEANINGS, settings_page
from aebnas_bo.storage.frozen_model import Effect

PAGE = Path(__file__).parents[4] / "docs" / "settings.md"


def test_the_page_is_what_the_declarations_say() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == settings_page(), "run: python -m aebnas_bo.config.reference > docs/settings.md"


def test_a_row_has_range_default_effect_and_meaning() -> None:
    assert (
        "| `max_rollbacks` | whole number ≥ 0, ≤ 20 | `3` | supernet | Maximum number of roll-backs" in settings_page()
    )


def test_every_effect_is_explained() -> None:
    assert MEANINGS.keys() == set(get_args(Effect))
