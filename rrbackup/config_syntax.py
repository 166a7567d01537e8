"""From the text of a configuration file to plain JSON values.

The rule: JSON with trailing commas and comments (JSON5) is accepted; a key that is written twice is a fault,
because one of the two would be lost in silence.
"""

import re
from collections import Counter
from collections.abc import Iterable

import json5

from rrbackup.errors import ConfigError

_POSITION = re.compile(r"<string>:(\d+) Unexpected (.+) at column (\d+)", re.DOTALL)


def read_document(text: str, source: str) -> tuple[object, tuple[str, ...]]:
    """The value that `text` stands for, and a fault for every key that it repeats.

    Raises `ConfigError` with line and column where the text is no JSON5.
    """
    repeated: list[str] = []

    def gather(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
        members = list(pairs)
        repeated.extend(key for key, count in Counter(key for key, _ in members).items() if count > 1)
        return dict(members)

    if not text.strip():
        raise ConfigError(source, ["the text is empty; write at least base_path, and s3 or directory"])
    try:
        value: object = json5.loads(text, object_pairs_hook=gather)
    except ValueError as error:
        raise ConfigError(source, [_plain(str(error))]) from None
    except RecursionError:
        raise ConfigError(source, ["lists or objects are nested too deeply; no key needs that"]) from None
    return value, tuple(f"{key}: is written twice in one object; keep one" for key in repeated)


def _plain(message: str) -> str:
    """The parser's message in words that help to find the place."""
    found = _POSITION.fullmatch(message)
    if found is None:
        return f"the text is no JSON: {message}"
    line, what, column = found.groups()
    if what == "end of input":
        return f"line {line}, column {column}: the text ends too early; a bracket or a quote is not closed"
    culprit = repr(what[1:-1])
    return f"line {line}, column {column}: unexpected {culprit}; a comma, colon or quote before it may be missing"
