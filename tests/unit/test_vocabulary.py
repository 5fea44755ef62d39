"""One name for one thing: the terms of PyTorch, TorchServe and Kubernetes, not the words of earlier versions."""

import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT_SUFFIXES = {".py", ".md", ".j2", ".yaml", ".yml", ".xml", ".properties", ".toml", ".txt"}
# About the earlier spellings themselves: flags and files of earlier runs that still work.
ABOUT_EARLIER_NAMES = {
    "CHANGELOG.md", "docs/training.md", "training/config.py", "training/fit/checkpoint.py",
    "tests/unit/test_vocabulary.py", "tests/unit/training/test_config.py",
    "tests/unit/training/fit/test_frozen_backbone.py", "tests/unit/headswap/test_cli.py",
}  # fmt: skip

# Anywhere, in code and in text.
WORDS = {
    r"verbs?": "command",
    r"judg(?:e|es|ed|ing|ements?)": "evaluate, validate",
    r"contenders?": "candidate",
    r"knocks?": "wake-up request",
    r"front[_ ]door": "listeners",
    r"goodbye": "the grace period",
    r"newcomers?": "candidate, new version",
    r"trample": "interfere with",
    r"told": "reported, documented, printed",
    r"turn(?:s|ed)?[_ ]away": "reject",
    r"moving[_-]batchnorm": "batchnorm-stats",
    r"rooms?|doors?|house": "package, import",
    r"(?<![Tt]here )(?:is|are) (?:no|none)(?! longer| formula| more than| of)": "is not a",
}
# As a whole identifier of Python code.
IDENTIFIERS = {
    r"Question|question": "Request",
    r"Guess|guess(?:es)?": "ClassScore",
    r"Judged|Standing|Terms|Swap|Where|Remote|Ranks|Feed": "the name in docs/architecture.md",
    r"Setting|Point|Wish|Tuned|Soaked|Seen|Shot|OutputLines": "the name in docs/architecture.md",
    r"falls_out|from_first|take_up|cut_log|draw_place|told_\w+|write_beside": "the name in docs/architecture.md",
    r"body_\w+|\w+_body_\w+|set_learning|learning_blocks?\w*|learn|learned|learns": "backbone, train",
    r"RefusedError": "RequestRejectedError",
    r"\w*rate_range\w*": "learning-rate finder",
    r"\w*workshop\w*": "helpers",
}
# In the packages, whose names say what the thing is: entry, prediction, row. A test may compare `one, other`.
ALL_PURPOSE = {"one", "found", "told"}
# A request or a response has a body; these identifiers speak of those.
OF_HTTP = re.compile(r"test_\w+|\w*(?:request|response|json|http|empty|error)\w*|body_of|read_body")


def text_files() -> Iterator[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        is_ours = not name.startswith(("sample_data/", "deploy/schemas/"))
        if (
            is_ours
            and path.suffix in TEXT_SUFFIXES
            and path.is_file()
            and name not in ABOUT_EARLIER_NAMES
        ):
            yield path


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_earlier_versions_is_gone(word: str) -> None:
    pattern = re.compile(rf"(?<![A-Za-z])(?:{word})(?![A-Za-z])")
    lines = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in text_files()
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if pattern.search(line)
    ]
    assert lines == [], WORDS[word]


@pytest.mark.parametrize("identifier", IDENTIFIERS)
def test_an_identifier_of_earlier_versions_is_gone(identifier: str) -> None:
    places = [
        f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string}"
        for path in text_files()
        if path.suffix == ".py"
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
        if token.type == tokenize.NAME
        and re.fullmatch(identifier, token.string)
        and not OF_HTTP.fullmatch(token.string)
    ]
    assert places == [], IDENTIFIERS[identifier]


def test_no_name_of_the_packages_fits_all_purposes() -> None:
    places = [
        f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string}"
        for path in text_files()
        if path.suffix == ".py" and "tests" not in path.relative_to(ROOT).parts
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
        if token.type == tokenize.NAME and token.string in ALL_PURPOSE
    ]
    assert places == []
