"""From a configuration to the things that it names: store, object names, rules."""

from rrbackup.config import Config
from rrbackup.effects.coding import CAN_DO
from rrbackup.effects.control import ObjectNames
from rrbackup.effects.directory import DirectoryStore
from rrbackup.effects.s3 import S3Options, S3Store
from rrbackup.effects.store import Store
from rrbackup.errors import ConfigError
from rrbackup.pure.filters import Filters
from rrbackup.pure.model import PathText, Word
from rrbackup.pure.names import hashed_key, object_key
from rrbackup.pure.pipeline import pipeline_for
from rrbackup.pure.plan import Rules


def store_of(config: Config, threads: int) -> Store:
    """The store that `config` names; no request is made yet."""
    if config.s3 is None:
        path = config.directory_path()
        assert path is not None
        return DirectoryStore(path)
    s3 = config.s3
    return S3Store(
        S3Options(
            bucket=s3.bucket,
            access_key=s3.access_key,
            secret_key=s3.secret_key,
            endpoint=s3.endpoint,
            region=s3.region,
            profile=s3.profile,
            prefix=s3.prefix,
            threads=threads,
        )
    )


def names_of(config: Config) -> ObjectNames:
    return ObjectNames(
        manifest=config.remote_manifest_diff_file,
        claim=config.remote_gc_log_file,
        garbage=config.remote_garbage_object_log_file,
        files=config.remote_base_path,
    )


def rules_of(config: Config) -> Rules:
    """What `config` says about paths. Its pipelines must be ones that can be carried out."""
    prefix_length = len(config.s3.prefix.encode()) + 1 if config.s3 and config.s3.prefix else 0

    def words(path: str) -> tuple[Word, ...] | None:
        return _possible(config, path, pipeline_for(config.rules, path))

    def key(path: PathText, asked: tuple[Word, ...]) -> str:
        if Word.HASH_NAMES in asked:
            return hashed_key(config.remote_base_path, path)
        return object_key(config.remote_base_path, path, prefix_length)

    return Rules(
        ignore=Filters.of(config.ignore_files),
        skip_delete=Filters.of(config.skip_delete),
        words=words,
        key=key,
        detection=config.change_detection,
    )


def check_metadata_pipeline(config: Config) -> None:
    """Raise ConfigError if diffs were to be stored with less than `meta_pipeline` asks for."""
    missing = [word for word in config.meta_pipeline if word not in CAN_DO]
    if missing:
        raise _not_built(config, f"meta_pipeline asks for {' and '.join(missing)}")


def _possible(config: Config, path: str, words: tuple[Word, ...] | None) -> tuple[Word, ...] | None:
    missing = [word for word in words or () if word not in CAN_DO or (word is Word.HASH_NAMES and config.password)]
    if missing:
        raise _not_built(config, f"file_pipeline asks for {' and '.join(missing)} for {path}")
    return words


def _not_built(config: Config, what: str) -> ConfigError:
    return ConfigError(
        config.loaded_from or "given in code",
        [f"{what}, which this version of rrbackup cannot do yet"],
        hint="nothing is ever stored with less than was asked for, so nothing was backed up",
    )
