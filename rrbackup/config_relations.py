"""The checks of a configuration that concern several keys at once.

They run over the same plain JSON values as `config_check`, beside its checks and not after them, so each passes
over values whose own check has already failed.
"""

import glob
import os
from collections.abc import Iterable, Iterator, Mapping

from attrs import frozen

from rrbackup.config_check import local_path, strings_in
from rrbackup.config_places import below, places, places_below
from rrbackup.pure.exclusions import Ignoring
from rrbackup.pure.filters import Filters
from rrbackup.pure.model import PathText

JOURNAL_SUFFIX = ".journal"
_OBJECT_KEYS = (
    "remote_manifest_diff_file",
    "remote_checkpoint_file",
    "remote_gc_log_file",
    "remote_garbage_object_log_file",
    "remote_password_salt_file",
)

Document = Mapping[str, object]


def relation_faults(document: Document, defaults: Document) -> Iterator[str]:
    """The faults between keys. `defaults` holds the value of every top-level key that may be left out."""
    complete = {**defaults, **document}
    yield from _one_store(document)
    yield from _modes(document)
    yield from _credentials(document)
    yield from _object_names(complete)
    yield from _place_faults(complete)


def _text(document: Document, *keys: str) -> str | None:
    """The text at a key, or at a key inside an object; None where there is none."""
    value: object = document
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else None


def _path(document: Document, *keys: str) -> str | None:
    """The same for a local path; None as well where no file could have it."""
    value = _text(document, *keys)
    return None if any(local_path("", value)) else value


def _one_store(document: Document) -> Iterator[str]:
    stores = [key for key in ("s3", "directory") if key in document]
    if not stores:
        yield 's3: missing; write either "s3": {"bucket": "…"} or "directory": {"path": "…"}'
    if len(stores) == 2:
        yield "directory: stands beside s3, but there can be only one store; remove one of the two"


def _modes(document: Document) -> Iterator[str]:
    if document.get("read_only") is True and document.get("write_only") is True:
        yield "write_only: contradicts read_only; leave at most one of them true"
    if document.get("write_only") is True and document.get("allow_delete_versions") is True:
        yield "allow_delete_versions: contradicts write_only, which never deletes; write false or leave it out"


def _credentials(document: Document) -> Iterator[str]:
    s3 = document.get("s3")
    given = [key for key in ("access_key", "secret_key") if isinstance(s3, Mapping) and key in s3]
    if len(given) == 1:
        yield f"s3.{given[0]}: stands alone; write both access_key and secret_key, or neither"


def _object_names(document: Document) -> Iterator[str]:
    names = {key: name for key in _OBJECT_KEYS if (name := _text(document, key))}
    folder = _text(document, "remote_base_path") or None
    first_with = {name: key for key, name in reversed(names.items())}
    for key, name in names.items():
        if first_with[name] != key:
            yield f'{key}: "{name}" is also the name in {first_with[name]}; choose another'
        if folder is not None and f"{name}/".startswith(f"{folder}/"):
            yield f'{key}: "{name}" would mix with the files below remote_base_path "{folder}"; choose another'


# --- places on this machine --------------------------------------------------------------------------------


def _place_faults(document: Document) -> Iterator[str]:
    try:
        yield from _local_files_differ(document)
        yield from _store_apart(document)
        yield from _kept_out_of_base(document)
    except FileNotFoundError:
        yield "base_path: the working folder, from which relative paths count, is gone; write absolute paths"


def _local_files_differ(document: Document) -> Iterator[str]:
    manifest, lock = _path(document, "local_manifest_file"), _path(document, "local_lock_file")
    if manifest is None or lock is None:
        return
    if not {*places(manifest), *places(manifest + JOURNAL_SUFFIX)}.isdisjoint(places(lock)):
        yield "local_lock_file: is the same file as the local manifest or its journal; choose another"


def _store_apart(document: Document) -> Iterator[str]:
    base, store = _path(document, "base_path"), _path(document, "directory", "path")
    if base is None or store is None:
        return
    if os.path.realpath(base) == os.path.realpath(store):
        yield "directory.path: is base_path itself; choose a folder outside"
    elif below(os.path.realpath(store), os.path.realpath(base)) is not None:
        yield "base_path: lies inside the store at directory.path; choose a folder outside"


def _kept_out_of_base(document: Document) -> Iterator[str]:
    base = _path(document, "base_path")
    if base is None:
        return
    include = Filters.of(strings_in(document.get("include_files")))
    ignored = Ignoring(Filters.of(strings_in(document.get("ignore_files"))), include)
    for own in _own_files(document):
        place = next(_exposed(own.paths, os.path.realpath(base), ignored), None)
        if place is not None:
            yield (
                f"{own.key}: {own.what} lies inside base_path and would be backed up; "
                f'add "{glob.escape(place)}{own.wildcard}" to ignore_files or move it outside'
            )
    yield from _store_not_included(document, os.path.realpath(base), include)


def _store_not_included(document: Document, base: str, include: Filters) -> Iterator[str]:
    """What is in a store inside base_path may have any name, so no filter may be able to match there."""
    store = _path(document, "directory", "path")
    for text in places_below(base, store) if store is not None else ():
        if include.may_match_below(text):
            yield (
                f"include_files: a filter might match something in the store at directory.path ({text}); "
                "write more of its beginning, or move the store outside of base_path"
            )
            return


@frozen
class _Own:
    """What rrbackup itself keeps on this machine; `wildcard` is put behind a path to cover all that begin so."""

    key: str
    what: str
    paths: tuple[str, ...]
    wildcard: str = ""


def _own_files(document: Document) -> Iterator[_Own]:
    if (manifest := _path(document, "local_manifest_file")) is not None:
        yield _Own("local_manifest_file", "the manifest or its journal", (manifest, manifest + JOURNAL_SUFFIX), "*")
    if (lock := _path(document, "local_lock_file")) is not None:
        yield _Own("local_lock_file", "the lock", (lock,))
    if (password := _path(document, "crypto", "crypt_password_file")) is not None:
        yield _Own("crypto.crypt_password_file", "the password", (password,))
    if (store := _path(document, "directory", "path")) is not None:
        yield _Own("directory.path", "the store", (store,))


def _exposed(paths: Iterable[str], base: str, ignored: Ignoring) -> Iterator[PathText]:
    """The path texts, counted from `base`, of those paths that a scan of it would come across."""
    for path in paths:
        yield from (text for text in places_below(base, path) if not ignored.covers(text))
