"""The configuration: its keys, their defaults, and the way from a file to a checked value.

Fields are named exactly as the JSON keys. A `Config` that exists has passed every check, whether it was loaded
or built in code; a `ConfigError` holds all faults at once. Local paths are kept as written; relative ones count
from the working folder at the time of use.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import NOTHING, Attribute, field, fields_dict, frozen
from cattrs import Converter

from rrbackup import config_check as check
from rrbackup.config_relations import JOURNAL_SUFFIX, relation_faults
from rrbackup.config_shapes import detection, optional_path, path, patterns, plain, plain_object, rules, words
from rrbackup.config_syntax import read_document
from rrbackup.config_warnings import file_warnings, pipeline_warnings, prefix_warnings
from rrbackup.errors import ConfigError
from rrbackup.pure.compression import DEFAULT_LEVEL
from rrbackup.pure.model import Mode, Word
from rrbackup.pure.pipeline import PipelineRule
from rrbackup.pure.rules import Detection
from rrbackup.pure.salt_record import INTERACTIVE, MAX_MEMORY_BYTES, MAX_PASSES, MODERATE

_TEXT = check.checked_by(check.text)
_FLAG = check.checked_by(check.flag)
_PATH = check.checked_by(check.local_path)
_NAME = check.checked_by(check.object_name)
_COMMAND = check.checked_by(check.command)
_FILTERS = check.checked_by(check.list_of(check.pattern, "filters"))


@frozen(kw_only=True)
class S3Settings:
    """An S3 bucket. Without keys, boto3's usual chain applies: environment, profile, role."""

    bucket: str = field(metadata=_TEXT)
    access_key: str | None = field(default=None, metadata=_TEXT)
    secret_key: str | None = field(default=None, metadata=_TEXT, repr=False)
    endpoint: str | None = field(default=None, metadata=check.checked_by(check.endpoint))
    region: str | None = field(default=None, metadata=_TEXT)
    profile: str | None = field(default=None, metadata=_TEXT)
    prefix: str = field(default="", metadata=check.checked_by(check.prefix))
    storage_class: str | None = field(default=None, metadata=_TEXT)


@frozen(kw_only=True)
class DirectorySettings:
    """A folder that behaves like a bucket."""

    path: str = field(converter=path, metadata=_PATH)


@frozen(kw_only=True)
class CryptoSettings:
    """Where the password is, and what a guess at it costs: `kdf_passes` passes over `kdf_memory` bytes.

    A file may also give `remote_password_salt_file` here; loading moves it to the top level.
    """

    crypt_password: str | None = field(default=None, metadata=_TEXT, repr=False)
    crypt_password_file: str | None = field(default=None, converter=optional_path, metadata=_PATH)
    crypt_password_command: str | None = field(default=None, metadata=_TEXT, repr=False)
    kdf_passes: int = field(
        default=MODERATE.passes, metadata=check.checked_by(check.whole_number(INTERACTIVE.passes, MAX_PASSES))
    )
    kdf_memory: int = field(
        default=MODERATE.memory, metadata=check.checked_by(check.whole_number(INTERACTIVE.memory, MAX_MEMORY_BYTES))
    )

    @property
    def names_password(self) -> bool:
        """Whether one of the three says where the password is."""
        given = (self.crypt_password, self.crypt_password_file, self.crypt_password_command)
        return any(source is not None for source in given)


def _section(cls: type) -> Callable[[object, "Attribute[Any]", Any], None]:
    """Like attrs' `instance_of`, whose error would quote the value, and with it a password."""

    def check(_: object, attribute: "Attribute[Any]", value: object) -> None:
        if value is not None and not isinstance(value, cls):
            raise TypeError(f"{attribute.name} must be a {cls.__name__}, not a {type(value).__name__}")

    return check


@frozen(kw_only=True)
class Config:
    """One backup: what, where to, and how.

    `chunk_size` is in plaintext bytes of an encrypted chunk, `compress_level` a level of zstd, `takeover_after` in
    seconds. `allow_delete_versions` is None where nothing was said: then versions may be deleted unless the client is
    write-only. `split_chunk_size` does nothing.
    `loaded_from` is the absolute path of the file that was loaded; no key stands for it.

    Raises `ConfigError`, and `TypeError` where s3, directory or crypto is not a value of its class.
    """

    base_path: str = field(converter=path, metadata=_PATH)
    local_manifest_file: str = field(default="manifest", converter=path, metadata=_PATH)
    local_lock_file: str = field(default="rrbackup_lock", converter=path, metadata=_PATH)

    s3: S3Settings | None = field(
        default=None,
        validator=_section(S3Settings),
        metadata=check.checked_by(check.section(S3Settings)),
    )
    directory: DirectorySettings | None = field(
        default=None,
        validator=_section(DirectorySettings),
        metadata=check.checked_by(check.section(DirectorySettings)),
    )
    crypto: CryptoSettings | None = field(
        default=None,
        validator=_section(CryptoSettings),
        metadata=check.checked_by(check.section(CryptoSettings)),
    )

    meta_pipeline: tuple[Word, ...] = field(default=(), converter=words, metadata=check.checked_by(check.meta_words))
    file_pipeline: tuple[PipelineRule, ...] = field(
        default=(PipelineRule("*"),),
        converter=rules,
        metadata=check.checked_by(check.list_of(check.rule, "pairs of filter and words")),
    )
    ignore_files: tuple[str, ...] = field(default=(), converter=patterns, metadata=_FILTERS)
    include_files: tuple[str, ...] = field(default=(), converter=patterns, metadata=_FILTERS)
    exclude_caches: bool = field(default=False, metadata=_FLAG)
    exclude_if_present: tuple[str, ...] = field(
        default=(), converter=patterns, metadata=check.checked_by(check.list_of(check.file_name, "file names"))
    )
    exclude_larger_than: int | None = field(default=None, metadata=check.checked_by(check.whole_number(1)))
    skip_delete: tuple[str, ...] = field(default=(), converter=patterns, metadata=_FILTERS)

    before_backup: str | None = field(default=None, metadata=_COMMAND, repr=False)
    after_backup: str | None = field(default=None, metadata=_COMMAND, repr=False)

    read_only: bool = field(default=False, metadata=_FLAG)
    write_only: bool = field(default=False, metadata=_FLAG)
    allow_delete_versions: bool | None = field(default=None, metadata=_FLAG)

    chunk_size: int = field(default=5_242_880, metadata=check.checked_by(check.whole_number(65_536, 67_108_864)))
    takeover_after: int = field(default=86_400, metadata=check.checked_by(check.whole_number(1)))
    compress_level: int = field(default=DEFAULT_LEVEL, metadata=check.checked_by(check.whole_number(1, 22)))
    visit_mountpoints: bool = field(default=True, metadata=_FLAG)
    follow_symlinks: bool = field(default=True, metadata=_FLAG)
    store_folders: bool = field(default=False, metadata=_FLAG)
    store_owner: bool = field(default=False, metadata=_FLAG)
    store_xattrs: bool = field(default=False, metadata=_FLAG)
    change_detection: Detection = field(
        default=Detection.STAT, converter=detection, metadata=check.checked_by(check.one_of(Detection))
    )

    remote_manifest_diff_file: str = field(default="manifest_diffs", metadata=_NAME)
    remote_checkpoint_file: str = field(default="manifest_checkpoint", metadata=_NAME)
    remote_gc_log_file: str = field(default="gc_log", metadata=_NAME)
    remote_garbage_object_log_file: str = field(default="garbage_objects", metadata=_NAME)
    remote_base_path: str = field(default="files", metadata=_NAME)
    remote_password_salt_file: str = field(default="salt_file", metadata=_NAME)

    split_chunk_size: int | None = field(default=None, metadata=check.checked_by(check.whole_number()))
    loaded_from: str | None = field(default=None, eq=False)

    def __attrs_post_init__(self) -> None:
        _refuse(self.loaded_from or "given in code", _faults(plain_object(self)))

    @property
    def mode(self) -> Mode:
        """What this client may do to the store."""
        if self.read_only:
            return Mode.READ_ONLY
        if self.write_only:
            return Mode.WRITE_ONLY
        return Mode.NO_DELETE if self.allow_delete_versions is False else Mode.READ_WRITE

    @property
    def rules(self) -> tuple[PipelineRule, ...]:
        """The rules of `file_pipeline`, the words of each in the order in which they are applied."""
        return self.file_pipeline

    @property
    def words_used(self) -> frozenset[Word]:
        """The words that any pipeline asks for."""
        return frozenset((*self.meta_pipeline, *(word for rule in self.rules for word in rule.words)))

    @property
    def names_password(self) -> bool:
        """Whether `crypto` says where the password is."""
        return self.crypto is not None and self.crypto.names_password

    def base(self) -> Path:
        """base_path, absolute and free of links."""
        return _resolved(self.base_path)

    def manifest_path(self) -> Path:
        """local_manifest_file, absolute and free of links."""
        return _resolved(self.local_manifest_file)

    def journal_path(self) -> Path:
        """The upload journal, which lies beside the local manifest."""
        return _resolved(self.local_manifest_file + JOURNAL_SUFFIX)

    def lock_path(self) -> Path:
        """local_lock_file, absolute and free of links."""
        return _resolved(self.local_lock_file)

    def directory_path(self) -> Path | None:
        """The folder of the directory store, absolute and free of links; None for S3."""
        return _resolved(self.directory.path) if self.directory is not None else None

    def password_file_path(self) -> Path | None:
        """crypto.crypt_password_file, absolute and free of links."""
        file = self.crypto.crypt_password_file if self.crypto is not None else None
        return _resolved(file) if file is not None else None

    def warnings(self) -> tuple[str, ...]:
        """What is allowed but seldom meant, one sentence each, for the start of a run."""
        return (
            *file_warnings(self.loaded_from, self._holds_secret()),
            *(() if self.split_chunk_size is None else ("split_chunk_size does nothing any more; remove it",)),
            *prefix_warnings(self.s3.prefix if self.s3 else "", self.remote_base_path),
            *pipeline_warnings(self.meta_pipeline, self.rules, self.names_password, self.mode),
        )

    def _holds_secret(self) -> bool:
        password = self.crypto is not None and self.crypto.crypt_password is not None
        return password or (self.s3 is not None and self.s3.secret_key is not None)


def _resolved(path: str) -> Path:
    return Path(os.path.realpath(path))


# --- loading -----------------------------------------------------------------------------------------------


def load_config(path: str | os.PathLike[str]) -> Config:
    """The configuration in the file at `path`. Raises `ConfigError`, also where the file cannot be read."""
    file = os.path.abspath(path)
    try:
        text = Path(file).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(file, ["there is no such file"], hint='"rrbackup init" writes one.') from None
    except OSError as error:
        raise ConfigError(file, [f"the file cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError(file, [f"byte {error.start} is not UTF-8; save the file as UTF-8"]) from None
    return _build(text, file, file)


def parse_config(text: str, source: str) -> Config:
    """The configuration that `text` (JSON5) stands for; `source` names it in a `ConfigError`."""
    return _build(text, source, None)


def _build(text: str, source: str, loaded_from: str | None) -> Config:
    value, repeated = read_document(text, source)
    if not isinstance(value, dict):
        raise ConfigError(source, [f"expected an object in braces, found {check.describe(value)}"])
    document, misplaced = _with_salt_name_on_top(value)
    _refuse(source, (*repeated, *misplaced, *_faults(document)))
    return _structure({**document, "loaded_from": loaded_from})


def _structure(document: Mapping[str, object]) -> Config:
    # The fields' own converters know the shapes that JSON has no types for, and faults have been found already.
    return Converter(prefer_attrib_converters=True, detailed_validation=False).structure(document, Config)


def _with_salt_name_on_top(document: Mapping[str, object]) -> tuple[Mapping[str, object], tuple[str, ...]]:
    """The document with the name of the salt file at the top level, where existing files have it in crypto."""
    key, crypto = "remote_password_salt_file", document.get("crypto")
    if not isinstance(crypto, dict) or key not in crypto:
        return document, ()
    name = document.get(key, crypto[key])
    faults = () if name == crypto[key] else (f"crypto.{key}: differs from {key}; keep one of the two",)
    return {**document, "crypto": {k: v for k, v in crypto.items() if k != key}, key: name}, faults


# --- checking ----------------------------------------------------------------------------------------------


def _faults(document: Mapping[str, object]) -> tuple[str, ...]:
    return (*check.object_faults(Config, document), *relation_faults(document, _defaults()))


def _refuse(source: str, faults: tuple[str, ...]) -> None:
    if faults:
        raise ConfigError(source, [check.printable(fault) for fault in faults])


def _defaults() -> dict[str, object]:
    return {
        name: plain(attribute.default)
        for name, attribute in fields_dict(Config).items()
        if attribute.default not in (NOTHING, None)
    }
