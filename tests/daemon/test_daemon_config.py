"""Mistakes in a configuration that only show when the daemon runs."""

from pathlib import Path

import pytest

from recorder.config import load
from recorder.errors import ConfigError

POOL = '[[pools]]\nname = "lab"\naddresses = ["https://h"]\npassword_env = "X"\n'


def refusal(text: str, folder: Path) -> str:
    file = folder / "recorder.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file)
    return str(caught.value).replace(str(file), "FILE")


@pytest.mark.parametrize("number", ["nan", "inf"])
@pytest.mark.parametrize("name", ["grace_s", "silence_s", "segment_age_max_s"])
def test_limit_must_be_a_finite_number(name: str, number: str, tmp_path: Path) -> None:
    """TOML knows nan and inf; a limit of either is none, or breaks the arithmetic of time."""
    assert refusal(f"{POOL}[limits]\n{name} = {number}\n", tmp_path).startswith(
        f"FILE: limits.{name}: must be"
    )


@pytest.mark.parametrize("value", ["3", '""'])
def test_path_that_is_none_is_named_with_file_and_key(value: str, tmp_path: Path) -> None:
    """Every refusal says which file and which key it speaks of."""
    shown = refusal(f"{POOL}password_file = {value}\n", tmp_path)
    assert shown.startswith("FILE: pools[0].password_file: expected a path")
