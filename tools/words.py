"""Find phrases that plain English does without; `make lint` runs it from the root of the repository."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

# What may stand between two words: a name's underscore, or the end of a line of text, comment or string.
GAP = r"(?:_|\s+(?:# *|> *)?|[\"']\s*f?[\"'])"
# Files that quote the phrases.
OWN = (Path("tools/words.py"), Path("tests/tools/test_words.py"))
# Phrases, with ~ for a gap, and what to write instead.
PHRASES = {
    r"(?<!there[ _\n])(?:is|are)~no(?=~[a-z])(?!~(?:longer|more|less|\w+er~than))": "is not a ..., or has no ...",
    r"what~(?:it|they|\w+~\w+)~comes?~to": "the result, the total",
    r"goes~on|(?:go|going|gone)~on~with": "continues, resumes",
    r"(?:is|are|was|were|be)~(?:said|told)": "say who says it, or what is printed",
    r"with~which~words": "how, with which arguments",
    r"strangers?": "another user, an unknown file",
    r"anew": "again",
    r"somebody": "someone, a user",
}


def prose(path: Path) -> str:
    """The text of a file; the code blocks of the changelog are emptied, since they quote commands and output."""
    text = path.read_text(encoding="utf-8")
    if path.name == "CHANGELOG.md":
        return re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE)
    return text


def main() -> int:
    """Print each place with its phrase and the remedy; return 1 if there is one."""
    listed = subprocess.run(["git", "ls-files", "*.py", "*.md", "*.yml"], check=True, capture_output=True, text=True)
    found = 0
    for path in map(Path, listed.stdout.splitlines()):
        if not path.is_file() or path.is_relative_to("docs/results") or path in OWN:
            continue
        text = prose(path)
        for phrase, remedy in PHRASES.items():
            pattern = rf"(?<![a-z])(?:{phrase})(?![a-z])".replace("~", GAP)
            for match in re.finditer(pattern, text, re.IGNORECASE):
                line = text.count("\n", 0, match.start()) + 1
                print(f"{path}:{line}: {' '.join(match[0].split())!r}; write: {remedy}")
                found += 1
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
