"""The documentation: what it says of commands and messages is true of the code, and its commands work."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import pytest
import typer.main

from matrix.cli.app import app
from tests.support.command_page import PAGE, commands, page

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")] + sorted(ROOT.glob("docs/**/*.md"))
LANGUAGES = {"sh", "python", "text", "yaml"}
"""What blocks hold; of `sh` and `python` it is marked whether a test runs them."""
MARK = re.compile(r"<!-- (run|run by (?P<test>tests/\S+|make \S+)|not run: .+|run: .+) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, the line before it, and its lines."""

    page: Path
    line: int
    language: str
    before: str
    text: str

    @property
    def place(self) -> str:
        """File and line, for messages and as the name of a test."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def calls(self) -> list[list[str]]:
        """The words after `xffl-bench` of every call of it."""
        text = "\n".join(re.sub(r"(^|\s)#.*", "", line) for line in self.text.replace("\\\n", " ").splitlines())
        found = []
        for command in re.split(r"\n|&&|;", text):
            words = [*takewhile(lambda word: not word.startswith(">"), shlex.split(command))]
            if "xffl-bench" in words and words[0] != "git":
                found.append(words[words.index("xffl-bench") + 1 :])
        return found


def blocks(path: Path) -> Iterator[Block]:
    before, opened = "", None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip().startswith("```"):
            if opened is None:
                language = line.strip().removeprefix("```").partition(" ")[0]
                opened = number, language, before, list[str]()
            else:
                yield Block(path, *opened[:3], "\n".join(opened[3]))
                opened = None
        elif opened is not None:
            opened[3].append(line)
        before = line


BLOCKS = [block for path in PAGES for block in blocks(path)]
COMMANDS = [block for block in BLOCKS if block.language in ("sh", "python")]


def test_every_block_has_a_language() -> None:
    assert len(BLOCKS) > 40
    wrong = [block.place for block in BLOCKS if block.language not in LANGUAGES]
    assert not wrong, f"```sh, ```text, ```yaml or ```python should open the blocks of {', '.join(wrong)}"


@pytest.mark.parametrize("block", COMMANDS, ids=lambda block: block.place)
def test_every_command_is_run_or_marked(block: Block) -> None:
    mark = MARK.fullmatch(block.before.strip())
    assert mark, f"{block.place}: the line before should be <!-- run --> or <!-- not run: why -->, not {block.before!r}"
    if test := mark["test"]:
        place, _, name = test.removeprefix("make ").partition("::")
        source = (ROOT / place if test.startswith("tests/") else ROOT / "Makefile").read_text()
        assert re.search(rf"^def {name}\(" if name else rf"^{place}:" if test.startswith("make ") else "", source, re.M)


@pytest.mark.parametrize("block", [each for each in COMMANDS if each.calls], ids=lambda block: block.place)
def test_every_command_is_one_of_the_command_line(block: Block) -> None:
    for words in block.calls:
        command, rest, name = typer.main.get_command(app), words, "xffl-bench"
        while rest and rest[0] in getattr(command, "commands", {}):
            command, name, rest = command.commands[rest[0]], rest[0], rest[1:]
        assert not hasattr(command, "commands") or rest[:1] in (["--version"], ["--install-completion"]), words
        if not hasattr(command, "commands"):
            command.make_context(name, list(rest))  # raises if it is not understood; calls nothing


def test_the_page_of_commands_is_that_of_the_command_line() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.support.command_page"
    assert {"xffl-bench run", "xffl-bench image build"} <= {words for words, _ in commands()}


def messages() -> set[str]:
    """All texts of the code, with … for what differs from case to case."""
    found = set()
    for package in ("bench", "matrix", "reports"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
                elif isinstance(node, ast.JoinedStr):
                    parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                    found.add("".join(map(str, parts)))
    return found


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "contributing").glob("*.md")), ids=lambda page: page.stem)
def test_files_that_contributors_are_sent_to_exist(page: Path) -> None:
    """A file is named with its folders, or after the folder in the same line."""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        named = [path for word in re.findall(r"`([\w/.{},-]+)`", line) for path in _expanded(word)]
        folders = [ROOT, *(ROOT / path for path in named if (ROOT / path).is_dir())]
        files = [path for path in named if path.endswith(".py") and "NAME" not in path]
        missing = [path for path in files if not any((folder / path).is_file() for folder in folders)]
        assert not missing, f"{page.name}:{number}: {', '.join(missing)}: name it with its folders"


def _expanded(word: str) -> list[str]:
    """Return `a/{b,c}.py` as `a/b.py` and `a/c.py`."""
    found = re.fullmatch(r"(.*)\{(.+)\}(.*)", word)
    return [found[1] + each + found[3] for each in found[2].split(",")] if found else [word]


def test_messages_of_the_page_of_questions_are_those_of_the_code() -> None:
    headings = re.findall(r"^### `(.+)`$", (ROOT / "docs" / "guides" / "faq.md").read_text(), re.MULTILINE)
    assert len(headings) > 15
    said = messages()
    assert not [heading for heading in headings if not any(heading in text for text in said)]


def test_pictures_are_those_of_their_program(tmp_path: Path) -> None:
    program = tmp_path / "strategies.py"
    program.write_bytes((ROOT / "docs" / "images" / "strategies.py").read_bytes())
    subprocess.run([sys.executable, program], check=True)
    drawn = {file.name: file.read_text() for file in tmp_path.glob("*.svg")}
    assert len(drawn) == 6
    assert drawn == {file.name: file.read_text() for file in (ROOT / "docs" / "images").glob("strategy-*.svg")}


def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    variables = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {file.relative_to(tmp_path / "site").as_posix(): file.read_text() for file in tmp_path.rglob("*.html")}
    made = {path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in ROOT.glob("docs/**/*.md")}
    assert {*made, "index.html", "contributing/index.html"} <= pages.keys()
    loaded = re.compile(r"<(?:script|img|iframe)\b[^>]*\bsrc=\"(?:https?:)?//|<link\b[^>]*\bhref=\"(?:https?:)?//")
    assert not [name for name, text in pages.items() if loaded.search(text)]
    assert not [name for name, text in pages.items() if "```" in text]


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_the_commands_of_the_first_page_work_as_they_are_written(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "xffl-bench"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m matrix "$@"\n')
    program.chmod(0o755)
    variables = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    work = tmp_path / "work"
    work.mkdir()
    first = ROOT / "docs" / "start" / "getting-started.md"
    run = [block for block in blocks(first) if block.language == "sh" and not block.before.startswith("<!-- not run")]
    assert len(run) == 6
    for block in run:
        shell = ["bash", "-e" if block.before == "<!-- run -->" else "+e", "-c", block.text]
        done = subprocess.run(shell, cwd=work, env=variables, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
        assert done.returncode == 0 or block.before != "<!-- run -->", f"{block.place}\n{done.stdout}{done.stderr}"
    assert (work / "results" / "first" / "report" / "report.md").is_file()
