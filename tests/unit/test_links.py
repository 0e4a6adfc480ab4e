"""Relative links of all pages lead somewhere: the file is there, and so is the heading behind ``#``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.unit.architecture import REPOSITORY

SKIPPED = {"node_modules", "build", "lab-run"}
_FENCE = re.compile(r"^ *(```+|~~~+).*?^ *\1 *$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\]\(\s*<?([^\s)>]+)>?[^)]*\)")
_ATTRIBUTE = re.compile(r"""\b(?:src|srcset|href)="([^"\s]+)""")
_DEFINITION = re.compile(r"^ {0,3}\[[^\]]+\]:\s+<?([^\s>]+)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} +(.+?)(?: +#+)? *$", re.MULTILINE)
_ANCHOR = re.compile(r"""<a [^>]*\b(?:id|name)="([^"]+)""")


def pages(root: Path = REPOSITORY) -> Iterator[Path]:
    """Yield all Markdown files that are ours."""
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in SKIPPED and not name.startswith(".")]
        yield from (Path(folder, name) for name in files if name.endswith(".md"))


def links(text: str) -> list[str]:
    """Return where the links, pictures and definitions of a page lead; what stands in code is none."""
    text = _CODE.sub("", _FENCE.sub("", text))
    return [*_LINK.findall(text), *_ATTRIBUTE.findall(text), *_DEFINITION.findall(text)]


@cache
def anchors(path: Path) -> frozenset[str]:
    """Return the fragments of a page, made as GitHub makes them."""
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    found = set(_ANCHOR.findall(text))
    for heading in _HEADING.findall(text):
        shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found.add(next(one for one in _numbered(name) if one not in found))
    return frozenset(found)


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 0
    while True:
        number += 1
        yield f"{name}-{number}"


def dead(path: Path, root: Path = REPOSITORY) -> list[str]:
    """Return the relative links of a page that lead nowhere, or out of the repository."""
    return [link for link in links(path.read_text(encoding="utf-8")) if _is_dead(path, link, root)]


def _is_dead(path: Path, link: str, root: Path) -> bool:
    if re.match(r"[a-z][a-z0-9+.-]*:", link):
        return False
    name, _, fragment = unquote(link).partition("#")
    target = (path.parent / name).resolve() if name else path
    if not target.exists() or not target.is_relative_to(root.resolve()):
        return True
    return bool(fragment) and (target.suffix != ".md" or fragment not in anchors(target))


@pytest.mark.parametrize("path", sorted(pages()), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_link_leads_somewhere(path: Path) -> None:
    assert dead(path) == []


def test_all_pages_are_looked_at() -> None:
    found = {str(path.relative_to(REPOSITORY)) for path in pages()}
    assert {"README.md", "docs/README.md", "kemi/README.md", "webapp_api/sdk/README.md"} <= found
    assert {"tests/sipp/load/README.md", "ansible/roles/kamailio/README.md"} <= found


def test_the_index_has_every_page_of_docs() -> None:
    index = REPOSITORY / "docs" / "README.md"
    listed = {link.partition("#")[0] for link in links(index.read_text(encoding="utf-8"))}
    assert {path.name for path in index.parent.glob("*.md")} - {"README.md"} <= listed


@pytest.mark.parametrize(
    "link",
    [
        pytest.param("[x](other.md)", id="file"),
        pytest.param("[x](other.md#two-words)", id="heading"),
        pytest.param("[x](other.md#two-words-1)", id="second heading of the same words"),
        pytest.param("[x](other.md#code-in-it-a-b)", id="heading with code"),
        pytest.param("[x](#here)", id="heading of the page itself"),
        pytest.param("[x](folder/)", id="folder"),
        pytest.param("[x](https://example.com/nothing)", id="elsewhere"),
        pytest.param("`[x](nothing.md)`", id="in code"),
        pytest.param("```\n[x](nothing.md)\n```", id="in a block of code"),
    ],
)
def test_good_links(tmp_path: Path, link: str) -> None:
    page = _page(tmp_path, link)
    assert dead(page, page.parent) == []


@pytest.mark.parametrize(
    "link",
    [
        pytest.param("[x](nothing.md)", id="file"),
        pytest.param("[x](other.md#three)", id="heading"),
        pytest.param("[x](other.md#in-a-block)", id="heading in a block of code"),
        pytest.param("[x](#gone)", id="heading of the page itself"),
        pytest.param("[x](../outside.md)", id="out of the repository"),
        pytest.param("![x](nothing.png)", id="picture"),
        pytest.param('<img src="nothing.svg">', id="picture in HTML"),
        pytest.param('<source srcset="nothing.svg">', id="source of a picture"),
        pytest.param("[x]\n\n[x]: nothing.md", id="definition"),
        pytest.param("| `a` | [x](nothing.md) | `b` |", id="between code"),
    ],
)
def test_dead_links(tmp_path: Path, link: str) -> None:
    page = _page(tmp_path, link)
    assert len(dead(page, page.parent)) == 1


def _page(folder: Path, text: str) -> Path:
    root = folder / "repository"
    (root / "folder").mkdir(parents=True)
    (folder / "outside.md").write_text("")
    (root / "other.md").write_text(
        "# Two words\n## Two words\n### `Code` in it: a-b\n```\n# In a block\n```\n", encoding="utf-8"
    )
    page = root / "page.md"
    page.write_text(f"# Here\n\n{text}\n", encoding="utf-8")
    return page
