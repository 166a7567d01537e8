"""From a configuration to the things that it names: store, object names, rules, where the password is."""

import os
import time
from collections.abc import Callable
from functools import partial

from attrs import evolve

from rrbackup.config import Config, CryptoSettings, S3Settings
from rrbackup.effects.control import ObjectNames
from rrbackup.effects.credentials import Provider
from rrbackup.effects.directory import DirectoryStore
from rrbackup.effects.keychain import FindPassword
from rrbackup.effects.passwords import PasswordSources, find_password
from rrbackup.effects.s3 import S3Options, S3Store
from rrbackup.effects.store import Store
from rrbackup.pure.exclusions import Exclusions, Ignoring
from rrbackup.pure.filters import Filters
from rrbackup.pure.keys import Keyring, hashed_name
from rrbackup.pure.model import PathText, Word
from rrbackup.pure.names import hashed_key, object_key, plain_digest
from rrbackup.pure.pipeline import pipeline_for
from rrbackup.pure.rules import Rules
from rrbackup.pure.salt_record import Cost
from rrbackup.pure.threads import MOST_THREADS

Ask = Callable[[bool], str]
"""Asks a person for the password; True: for a new one, so twice."""


def store_of(
    config: Config,
    threads: int | None,
    credentials: Provider | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> Store:
    """The store that `config` names; no request is made yet. `wait` pauses between requests."""
    if config.s3 is None:
        path = config.directory_path()
        assert path is not None
        return DirectoryStore(path)
    options = s3_options(config.s3, credentials)
    threads, deletes = threads or MOST_THREADS, config.mode.deletes
    return S3Store(evolve(options, prefix=config.s3.prefix, threads=threads, wait=wait, deletes=deletes))


def s3_options(s3: S3Settings, credentials: Provider | None = None) -> S3Options:
    """What it takes to reach the bucket."""
    return S3Options(
        bucket=s3.bucket,
        access_key=s3.access_key,
        secret_key=s3.secret_key,
        endpoint=s3.endpoint,
        region=s3.region,
        profile=s3.profile,
        credentials=credentials,
    )


def names_of(config: Config) -> ObjectNames:
    return ObjectNames(
        manifest=config.remote_manifest_diff_file,
        claim=config.remote_gc_log_file,
        garbage=config.remote_garbage_object_log_file,
        files=config.remote_base_path,
        checkpoint=config.remote_checkpoint_file,
    )


def exclusions_of(config: Config) -> Exclusions:
    """What else than `ignore_files` leaves something out, and what takes it in again."""
    return Exclusions(
        Filters.of(config.include_files),
        config.exclude_caches,
        frozenset(config.exclude_if_present),
        config.exclude_larger_than,
    )


def rules_of(config: Config, keys: Keyring | None, *, reprocess: bool = False) -> Rules:
    """What `config` says about paths. Names are hashed under `keys`; None is for those who have no password."""
    prefix_length = len(config.s3.prefix.encode()) + 1 if config.s3 and config.s3.prefix else 0
    digest = partial(hashed_name, keys.names) if keys else plain_digest

    def key(path: PathText, asked: tuple[Word, ...]) -> str:
        if Word.HASH_NAMES in asked:
            return hashed_key(config.remote_base_path, path, digest)
        return object_key(config.remote_base_path, path, prefix_length, digest)

    return Rules(
        ignore=Ignoring(Filters.of(config.ignore_files), Filters.of(config.include_files)),
        skip_delete=Filters.of(config.skip_delete),
        words=partial(pipeline_for, config.rules),
        key=key,
        detection=config.change_detection,
        reprocess=reprocess,
    )


# --- passwords and keys ----------------------------------------------------------------------------------------


def find_password_of(config: Config, ask: Ask | None) -> FindPassword:
    """Looks for the password where `config` says, then in the environment; last, `ask` is called."""
    crypto = config.crypto or CryptoSettings()
    sources = PasswordSources(
        crypto.crypt_password,
        config.password_file_path(),
        crypto.crypt_password_command,
    )

    def find(new: bool) -> str | None:
        return find_password(sources, os.environ, None if ask is None else partial(ask, new))

    return find


def cost_of(config: Config) -> Cost:
    crypto = config.crypto or CryptoSettings()
    return Cost(crypto.kdf_passes, crypto.kdf_memory)
