"""The built files of SDK, softphone and console: where they are, and how long browsers may keep them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from flask import Flask, Response, request, url_for

# Names with a hash: another content has another name.
_HASHED_PREFIX: Final = "dist/assets/"
_LIFETIME_S: Final = 31_536_000
_REQUIRED: Final = ("softphone.js", "softphone.css", "console.js", "console.css", "sdk.js")

HOW_TO_BUILD: Final = (
    "npm --prefix webapp_api/sdk ci",
    "npm --prefix webapp_api/sdk run build",
)


def manifest_from_text(text: str) -> Mapping[str, str] | None:
    """Logical name to file below dist, or None when the text is not the manifest of a whole build."""
    try:
        manifest = json.loads(text)
    except json.JSONDecodeError:
        return None
    if not isinstance(manifest, dict) or not all(isinstance(manifest.get(name), str) for name in _REQUIRED):
        return None
    return manifest


def asset_urls(app: Flask) -> Mapping[str, str] | None:
    """Logical name to URL path, or None when the files are not built. Call within a request."""
    try:
        text = (Path(app.static_folder or "") / "dist" / "manifest.json").read_text(encoding="utf-8")
    except OSError:
        return None
    manifest = manifest_from_text(text)
    if manifest is None:
        return None
    return {name: url_for("static", filename=f"dist/{file}") for name, file in manifest.items()}


def register(app: Flask) -> None:
    """Let browsers keep hashed files for ever, and ask again for all others."""

    @app.after_request
    def add_cache_control(response: Response) -> Response:
        if request.endpoint != "static" or response.status_code >= 400:
            return response
        file: str = (request.view_args or {}).get("filename", "")
        keep = file.startswith(_HASHED_PREFIX)
        response.headers["Cache-Control"] = (
            f"public, max-age={_LIFETIME_S}, immutable" if keep else "no-cache"
        )
        return response
