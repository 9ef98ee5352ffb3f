"""The page of a report: html, css, js and numbers put together into one file.

The page opens by double click, loads nothing from anywhere and can be sent as it is. Whatever comes
from a table is escaped as JSON here and set as text there, never as markup; the page's content
security policy allows its own script and style by their hashes, and no network.
"""

import base64
import hashlib
import html
import json
import re
from pathlib import Path

from data.reports.palette import style_variables

PARTS = Path(__file__).with_name("page")
SCRIPTS = ("elements", "chart", "map", "moves", "search", "sections", "start")
FIRST_LINES = """"use strict";
const page = JSON.parse(document.getElementById("data").textContent);
const find = (selector) => document.querySelector(selector);
"""


def put_together(page):
    """The page with its numbers: bytes of a UTF-8 file.

    Args:
        page: dict that JSON can hold, without NaN; page["table"] is its title.
    """
    style = style_variables() + _read("page.css")
    script = FIRST_LINES + "\n".join(_read(f"{name}.js") for name in SCRIPTS)
    policy = ["default-src 'none'", "base-uri 'none'", "form-action 'none'"]
    for kind, code in (("script", script), ("style", style)):
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        policy.append(f"{kind}-src 'sha256-{digest}'")
    data = json.dumps(page, separators=(",", ":"), allow_nan=False)  # ASCII, U+2028 too
    for character in "<>&":
        data = data.replace(character, f"\\u{ord(character):04x}")
    title = html.escape(page["table"]).encode("ascii", "xmlcharrefreplace").decode()
    parts = {"policy": "; ".join(policy), "title": title, "data": data, "style": style,
             "script": script}  # fmt: skip
    # in one pass, so that no part is looked for inside another
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _read("page.html")).encode()


def _read(name):
    return (PARTS / name).read_text(encoding="utf-8")
