"""Where a run comes from, also where git cannot say."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from training.train import commit


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@invalid")
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_changed_working_tree_is_dirty(tmp_path: Path) -> None:
    assert commit(tmp_path) == "unknown"
    (tmp_path / "a").write_text("1")
    git(tmp_path, "init")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "one")
    git(tmp_path, "tag", "-a", "v1", "-m", "a tag is no commit")
    head = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "b").write_text("not tracked")
    assert commit(tmp_path) == head
    (tmp_path / "a").write_text("2")
    assert commit(tmp_path) == f"{head}-dirty"


def test_without_git_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit(Path(__file__).parent) == "unknown"
