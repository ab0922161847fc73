"""Data and scripts inside a page, so that nothing in them can end the element they stand in."""

import base64
import hashlib
import json
from typing import Any

_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
"""Inside JSON these characters occur in strings only, where an escape means the same."""


def embedded_json(value: Any) -> str:
    """JSON that may stand in a script element or a script file: no `</script>`, no `<!--`, no line separator."""
    return escaped_json(plain_json(value))


def plain_json(value: Any) -> str:
    """Compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def escaped_json(text: str) -> str:
    """The same for text that is JSON already."""
    return text.translate(_ESCAPES)


def script_hash(script: str) -> str:
    """How a content security policy names an inline script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
