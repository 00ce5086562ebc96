"""Every mistake of a first hour gets one sentence, and every thing that looks right works."""

import pytest

from mistakes.__main__ import answer, workplace
from mistakes.cases import CASES


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    with workplace(tmp_path_factory.mktemp("first_hour")):
        yield


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_answer_helps(case):
    worked, text = answer(case)
    assert worked == case.works, text
    line = " ".join(text.split())
    for words in case.answer:
        assert words in line, line
    if not worked:
        assert "Traceback" not in text
