"""Hooks of mkdocs: pages of the repository's root join the site, and the navigation follows the folders.

A page that is added to a folder below is in the navigation without being listed anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
SECTIONS = {
    "start": "Getting started",
    "guides": "Guides",
    "concepts": "Concepts",
    "reference": "Reference",
    "contributing": "Contributing",
}
"""Title of each folder, in the order of the navigation."""
FROM_ROOT = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing/index.md",
    "CHANGELOG.md": "reference/changelog.md",
    "SECURITY.md": "reference/security.md",
    "LICENSE": "reference/license.md",
}
"""Files of the repository's root and their pages."""
FIRST = ("index.md", "cluster.md", "matrix-file.md", "commands.md", "metrics.md", "strategies.md")
"""Pages that come before the others of their folder, which are in alphabetical order."""

_LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)\s#]+)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Set the navigation."""
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    pages |= set(FROM_ROOT.values())
    config.nav = ["index.md", *({title: list(_pages(pages, folder))} for folder, title in SECTIONS.items())]
    return config


def _pages(pages: set[str], folder: str) -> Iterator[str]:
    found = {page for page in pages if page.startswith(f"{folder}/")}
    first = [page for name in FIRST if (page := f"{folder}/{name}") in found]
    yield from (*first, *sorted(found.difference(first)))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the repository's root."""
    for source, page in FROM_ROOT.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        content = text if source.endswith(".md") else f"# {source.title()}\n\n{text}"
        files.append(File.generated(config, page, content=_with_links(content, "", page)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leave out of a block's first line what only tests read, and lead links to the root's files to their pages."""
    name = page.file.src_uri
    text = re.sub(r"^(```[a-z]+) .*$", r"\1", markdown, flags=re.MULTILINE)
    return text if name in FROM_ROOT.values() else _with_links(text, "../" * (name.count("/") + 1), name)


def _with_links(text: str, root: str, page: str) -> str:
    """Return a page's text with other links into the repository's root, which is at `root` in the present ones."""

    def moved(link: re.Match[str]) -> str:
        if not link[0].startswith(root):
            return link[0]
        path = link[0].removeprefix(root)
        return "../" * page.count("/") + (FROM_ROOT.get(path) or path.removeprefix("docs/"))

    return _LINK.sub(moved, text)
