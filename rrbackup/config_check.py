"""What a configuration may say: the checks, over the plain JSON values.

The rule: every fault is found at once, and each is one line that begins with the key and says what to write. A
field of a configuration class names its check in its metadata (`checked_by`); a field without one is no key.
Values are never quoted in a fault unless they are no secret. What concerns several keys is in `config_relations`.
"""

import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from enum import StrEnum

from attrs import NOTHING, Attribute, AttrsInstance, fields_dict

from rrbackup.pure.filters import pattern_problem
from rrbackup.pure.model import Word
from rrbackup.pure.names import escape

Check = Callable[[str, object], Iterator[str]]

_CHECK = "check"
_SURROGATE = re.compile("[\ud800-\udfff]")


def checked_by(check: Check) -> Mapping[str, Check]:
    """The metadata of an attrs field that is a key of the configuration."""
    return {_CHECK: check}


def keys_of(cls: type[AttrsInstance]) -> dict[str, Check]:
    """The keys that `cls` stands for, each with its check."""
    return {name: field.metadata[_CHECK] for name, field in fields_dict(cls).items() if _CHECK in field.metadata}


# --- objects -----------------------------------------------------------------------------------------------


def section(cls: type[AttrsInstance]) -> Check:
    """An object whose keys are those of `cls`."""

    def check(key: str, value: object) -> Iterator[str]:
        if isinstance(value, dict):
            yield from object_faults(cls, value, f"{key}.")
        else:
            yield _expected(key, "an object in braces", value)

    return check


def object_faults(cls: type[AttrsInstance], document: Mapping[str, object], parent: str = "") -> Iterator[str]:
    """The faults of every key by itself: unknown, missing, or with a value that cannot be."""
    checks = keys_of(cls)
    for name, value in document.items():
        if name in checks:
            yield from checks[name](parent + name, value)
        else:
            yield f"{parent}{name}: unknown key; {_suggestion(name, parent, checks)}"
    yield from _missing(fields_dict(cls), document, parent)


def _suggestion(name: str, parent: str, checks: Mapping[str, Check]) -> str:
    if close := get_close_matches(name, checks, n=1):
        return f'did you mean "{close[0]}"?'
    return f"the keys here are {', '.join(sorted(checks))}" if parent else "remove it"


def _missing(fields: Mapping[str, "Attribute[object]"], document: Mapping[str, object], parent: str) -> Iterator[str]:
    for name, field in fields.items():
        if field.default is NOTHING and name not in document:
            yield f'{parent}{name}: missing; write "{name}": "…"'


# --- single values -----------------------------------------------------------------------------------------


def flag(key: str, value: object) -> Iterator[str]:
    if not isinstance(value, bool):
        yield _expected(key, "true or false", value)


def whole_number(low: int | None = None, high: int | None = None) -> Check:
    """A whole number from `low` to `high`, both included."""

    def check(key: str, value: object) -> Iterator[str]:
        if not isinstance(value, int) or isinstance(value, bool):
            yield _expected(key, "a whole number", value)
        elif low is not None and value < low:
            yield f"{key}: too small; write at least {low}"
        elif high is not None and value > high:
            yield f"{key}: too large; write at most {high}"

    return check


def one_of(choices: type[StrEnum]) -> Check:
    def check(key: str, value: object) -> Iterator[str]:
        if not isinstance(value, str) or value not in set(choices):
            yield _expected(key, " or ".join(f'"{choice}"' for choice in choices), value)

    return check


def text(key: str, value: object) -> Iterator[str]:
    """A text that is not empty and can be written as UTF-8."""
    if not isinstance(value, str):
        yield _expected(key, "a text in quotes", value)
    elif not value:
        yield f"{key}: is empty; write a value or leave the key out"
    elif _SURROGATE.search(value):
        yield f"{key}: holds half of a surrogate pair (\\ud800 to \\udfff); write the whole character"


def local_path(key: str, value: object) -> Iterator[str]:
    """A path on this machine, which need not exist. Half surrogates may stand for bytes that are not UTF-8."""
    if not isinstance(value, str) or not value:
        yield from text(key, value)
    elif "\0" in value or not _encodable(value):
        yield f"{key}: holds a character that no path can have; correct it"


def file_name(key: str, value: object) -> Iterator[str]:
    """The name of a file, without a folder."""
    faults = list(local_path(key, value))
    if not faults and isinstance(value, str) and ("/" in value or value in (".", "..")):
        faults.append(f"{key}: is no name of a file; write the name alone, without a folder")
    yield from faults


def _encodable(path: str) -> bool:
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True


def command(key: str, value: object) -> Iterator[str]:
    """A program with its arguments, which no shell runs. It is not quoted: it may hold a secret."""
    faults = list(text(key, value))
    if not faults and isinstance(value, str) and not _words_of_command(value):
        faults.append(f"{key}: is no command; write a program with its arguments, with quotes in pairs")
    yield from faults


def _words_of_command(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return []


def endpoint(key: str, value: object) -> Iterator[str]:
    if not isinstance(value, str):
        yield from text(key, value)
    elif not re.match(r"https?://[^/\s]", value):
        yield f'{key}: is no address; write it with https:// or http:// in front, such as "https://s3.example.com"'


def object_name(key: str, value: object) -> Iterator[str]:
    """The name of an object, or of a folder of objects, in the store."""
    faults = list(text(key, value))
    if not faults and isinstance(value, str):
        faults = list(_name_faults(key, value))
    yield from faults


def prefix(key: str, value: object) -> Iterator[str]:
    """Like the name of a folder of objects, but it may be empty."""
    if value != "":
        yield from object_name(key, value)


def _name_faults(key: str, name: str) -> Iterator[str]:
    sound = "/".join(part for part in name.split("/") if part not in ("", ".", ".."))
    if sound != name:
        yield f'{key}: "{name}" has a slash at an end, or an empty, "." or ".." segment; write "{sound}"'
    if (escaped := escape(name.encode())) != name:
        yield f'{key}: holds something that stores mangle (it would have to be escaped: "{escaped}"); leave it out'


# --- lists -------------------------------------------------------------------------------------------------


def list_of(item: Check, what: str) -> Check:
    """A list in which every item passes the check `item`; faults name the index, counted from 0."""

    def check(key: str, value: object) -> Iterator[str]:
        if not isinstance(value, list):
            yield _expected(key, f"a list of {what} in brackets", value)
            return
        for index, member in enumerate(value):
            yield from item(f"{key}[{index}]", member)

    return check


def pattern(key: str, value: object) -> Iterator[str]:
    if not isinstance(value, str):
        yield _expected(key, "a filter in quotes", value)
    elif (why := pattern_problem(value)) is not None:
        yield f"{key}: {why}"


def word(key: str, value: object) -> Iterator[str]:
    known = ", ".join(Word)
    if not isinstance(value, str):
        yield _expected(key, f"one of the words {known}", value)
    elif value not in set(Word):
        close = get_close_matches(value, list(Word), n=1)
        yield f'{key}: unknown pipeline word "{value}"; ' + (
            f'did you mean "{close[0]}"?' if close else f"the words are {known}"
        )


words: Check = list_of(word, "pipeline words")


def meta_words(key: str, value: object) -> Iterator[str]:
    """The words for metadata, whose names must stay known."""
    yield from words(key, value)
    if Word.HASH_NAMES in strings_in(value):
        yield (
            f"{key}: hash_names cannot be applied to metadata; remove it, and to obscure those names give others "
            "in remote_manifest_diff_file, remote_gc_log_file and remote_password_salt_file"
        )


def rule(key: str, value: object) -> Iterator[str]:
    """A pair of a filter and a list of words."""
    if not isinstance(value, list) or len(value) != 2:
        yield _expected(key, 'a pair such as ["*", ["compress", "encrypt"]]', value)
        return
    yield from pattern(f"{key}[0]", value[0])
    yield from words(f"{key}[1]", value[1])


def strings_in(value: object) -> list[str]:
    """The texts of a list; nothing where it is no list."""
    return [member for member in value if isinstance(member, str)] if isinstance(value, list) else []


# --- what was found ----------------------------------------------------------------------------------------


def _expected(key: str, what: str, value: object) -> str:
    return f"{key}: expected {what}, found {describe(value)}"


_KINDS: Mapping[type, str] = {
    type(None): "null",
    int: "a whole number",
    float: "a number with a decimal point or exponent",
    str: "a text",
    list: "a list",
    dict: "an object",
}


def describe(value: object) -> str:
    """What kind of value it is, without the value, which may be a secret in the wrong place."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _KINDS.get(type(value), f"a {type(value).__name__}")


def printable(fault: str) -> str:
    """The fault as one line that any terminal can show, whatever the key or filter in it holds."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in fault)
