"""The page docs/reference/commands.md, made of the command line itself: `python -m tests.support.command_page`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from matrix.cli.app import app

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "commands.md"
HEAD = """# Commands

<!-- Made by `python -m tests.support.command_page` of the command line itself; a test compares them. -->

`-h` after any command prints what this page says of it. Values with spaces or brackets are to be quoted for the
shell. The exit status is 0 if all is well, 1 if a run failed or jobs left runs (both also from `status`), `check`
found something missing, or `compare` or `nightly` found that something regressed, 2 for bad input, 130 after Ctrl-C.
"""


def page() -> str:
    """Return the page."""
    return HEAD + "".join(_section(words, command) for words, command in commands())


def commands() -> Iterator[tuple[str, Any]]:
    """Yield the words of every command with what it is, groups before their members."""
    yield from _below("xffl-bench", typer.main.get_command(app))


def _below(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield words, command
    for name, member in getattr(command, "commands", {}).items():
        if not member.hidden:
            yield from _below(f"{words} {name}", member)


def _section(words: str, command: Any) -> str:
    shown = [each for each in command.params if not each.hidden]
    arguments = [each for each in shown if each.param_type_name == "argument"]
    options = [each for each in shown if each.param_type_name == "option"]
    usage = " ".join([words, *(_placeholder(each) for each in arguments)])
    if hasattr(command, "commands"):
        usage += " COMMAND"
    described = " ".join((command.help or "").split())
    parts = [f"\n## `{words}`\n", f"{described}\n", f"```text\n{usage}{' [OPTIONS]' * bool(options)}\n```\n"]
    if shown:
        rows = [f"| {_names(each)} | {_meaning(each)} |" for each in (*arguments, *options)]
        parts.append("\n".join(["| argument or option | meaning |", "|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def _placeholder(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _names(each: Any) -> str:
    if each.param_type_name == "argument":
        return f"`{_placeholder(each)}`"
    value = "" if each.is_flag else f" {each.metavar or 'VALUE'}"
    return ", ".join(f"`{name}{value}`" for name in sorted(each.opts, key=len))


def _meaning(each: Any) -> str:
    notes = []
    if each.param_type_name == "option" and not each.is_flag:
        notes += ["required"] * each.required
        notes += [f"default `{each.default}`"] * isinstance(each.default, str | int | float | Path)
    said = (each.help or "").replace("|", "\\|")
    return f"{said} ({', '.join(notes)})" if notes else said


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
