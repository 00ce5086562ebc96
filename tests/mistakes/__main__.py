"""Print what a new user's mistakes are answered, by one version of the library or by two.

python -m mistakes                                   # run in the folder tests: a table of every case
python -m mistakes --before OTHER/.venv/bin/python   # and what the library of another environment answers
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from mistakes.cases import CASES, FILES, IMPORTS, Case  # noqa: E402


def answer(case: Case) -> tuple[bool, str]:
    """Run a case in the working folder; return whether it worked, and what was printed or raised."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        first, *words = case.typed.split()
        worked = _command(words) == 0 if first == "rpp-rl" else _program(case.typed)
    return worked, printed.getvalue()


def _program(text: str) -> bool:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        try:
            exec(IMPORTS + text, {})  # noqa: S102 - a program of this folder
        except Exception as error:  # whatever a user would see
            print(f"{type(error).__name__}: {error}")
            return False
    for warning in shown:
        if warning.category is UserWarning:
            print(f"UserWarning: {warning.message}")
    return True


def _command(words: list[str]) -> int:
    from rpp_rl.scripts.main import main

    try:
        return main(words)
    except SystemExit as stop:
        return 0 if stop.code in (0, None) else 2
    except Exception as error:  # a traceback for the user
        print(f"Traceback ... {type(error).__name__}: {error}")
        return 1


@contextlib.contextmanager
def workplace(folder: Path):
    """The working folder of the cases, with the files that they name."""
    before = Path.cwd()
    for name, content in FILES.items():
        (folder / name).write_text(content)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        os.chdir(before)
        sys.path.remove(str(folder))


def _answers() -> list[str]:
    with tempfile.TemporaryDirectory() as folder, workplace(Path(folder)):
        return [answer(case)[1] for case in CASES]


def _shown(text: str, most: int = 400) -> str:
    """The end of an answer, in one line of a table."""
    line = " ".join(text.split()).replace("|", "/")
    return line if len(line) <= most else f"... {line[-most:]}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", help="the Python of another version")
    parser.add_argument("--json", action="store_true", help="print the answers only, as JSON")
    given = parser.parse_args()
    now = _answers()
    if given.json:
        print(json.dumps(now))
        return
    before = now
    if given.before:
        words = [given.before, str(HERE / "__main__.py"), "--json"]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        before = json.loads(done.stdout.splitlines()[-1])
    print("| typed | before | now |\n|---|---|---|" if given.before else "| typed | answer |\n|---|---|")
    for case, old, new in zip(CASES, before, now, strict=True):
        cells = [f"{case.name}: `{_shown(case.typed)}`", *([_shown(old)] if given.before else []), _shown(new)]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
