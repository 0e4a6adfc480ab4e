"""A secret that is planted is found, and is not repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audit.secrets import secrets_in, tree

# Put together here, so that this file has none.
KEY = "-----BEGIN " + "RSA PRIVATE KEY-----\nMIIBOgIBAAJBAK\n"
AWS = 'key = "AKIA' + 'Q7Z2XK4M9T5R3W8B"\n'
TOKEN = 'github = "ghp_' + 'wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx"\n'
URL = 'redis_url = "redis://gateway:' + 'Zx8Kq2Lm@redis.example/0"\n'
WORD = 'password = "' + 'Zx8Kq2LmP0rT"\n'


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("tests/a.pem", KEY, 1),
        ("docs/a.md", AWS, 1),
        ("tests/a.py", TOKEN, 1),
        ("ansible/a.yml", URL, 1),
        ("kemi/a.py", WORD, 1),
        ("tests/a.py", WORD, 0),
        ("kemi/a.py", "password = os.environ['X']\n", 0),
        ("kemi/a.py", "a = 1\n", 0),
    ],
)
def test_what_is_planted_is_found(tmp_path: Path, name: str, text: str, found: int) -> None:
    file = tmp_path / name
    file.parent.mkdir()
    file.write_text(text)
    told = secrets_in([name], tmp_path)
    assert len({one.where for one in told}) == found
    assert all(name in one.what and "Zx8K" not in str(one) and "MIIB" not in str(one) for one in told)


def test_every_file_of_the_tree_is_looked_at() -> None:
    names = tree()
    assert {"SECURITY.md", "kemi/settings.py", "ansible/playbooks/site.yml", "Makefile"} <= set(names)
    assert not [name for name in names if "node_modules" in name]
