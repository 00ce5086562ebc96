"""The list of phrases that plain English does without."""

import subprocess

import pytest

from tools import words


@pytest.fixture
def tree(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)  # noqa: S607
    monkeypatch.chdir(tmp_path)

    def write(text, name="page.md"):
        (tmp_path / name).write_text(text)
        subprocess.run(["git", "add", name], check=True)  # noqa: S607
        return words.main()

    return write


@pytest.mark.parametrize(
    "text",
    ["The file is no folder.", "def test_a_run_goes_on(): ...", "a stranger's agent", "is\n# told of", "trained anew"],
)
def test_a_phrase_of_the_list_is_found(tree, capsys, text):
    assert tree(text) == 1
    assert "page.md:1: " in capsys.readouterr().out


@pytest.mark.parametrize("text", ["There is no file.", "It is no longer than 3.", "renewed", "the agent continues"])
def test_plain_sentences_pass(tree, text):
    assert tree(text) == 0


def test_output_that_the_changelog_quotes_passes(tree):
    assert tree("```\nis no folder\n```\n", "CHANGELOG.md") == 0
