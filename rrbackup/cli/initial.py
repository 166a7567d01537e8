"""A first configuration: from what somebody said, or was asked, to a file that passes its own check.

The rule: a file that exists is never touched. The local manifest and the lock lie beside the configuration under
its name, as absolute paths, so that it works from any folder; whatever of that lies inside the base path is ignored
by the backup. Secrets are not asked for: they belong into the file by hand, or into boto3's usual places.
"""

import glob
import json
import os
from collections.abc import Iterator, Mapping

import click
from attrs import asdict, evolve, frozen

from rrbackup.config import parse_config
from rrbackup.config_places import places_below
from rrbackup.errors import UsageError

_PRIVATE = 0o600
_WAYS = "name the folder with --base-path, and the store with --bucket or with --directory"


@frozen
class Wishes:
    """What was said; None for what was not."""

    base_path: str | None = None
    bucket: str | None = None
    endpoint: str | None = None
    region: str | None = None
    prefix: str | None = None
    directory: str | None = None

    @property
    def any(self) -> bool:
        return any(value is not None for value in asdict(self).values())

    @property
    def has_store(self) -> bool:
        return self.bucket is not None or self.directory is not None

    @property
    def s3(self) -> dict[str, str]:
        members = {
            "bucket": self.bucket,
            "endpoint": self.endpoint,
            "region": self.region,
            "prefix": self.prefix,
        }
        return {name: value for name, value in members.items() if value}


def write_configuration(path: str, wishes: Wishes) -> None:
    """Write the file at the absolute `path`. Raises UsageError, ConfigError; then nothing was written."""
    text = configuration_text(path, wishes)
    parse_config(text, path)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
        with open(fd, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"cannot write the configuration {path}: {error.strerror}") from error


def configuration_text(path: str, wishes: Wishes) -> str:
    """The JSON text for a configuration at `path`. Raises UsageError where something is not said."""
    if wishes.base_path is None or not wishes.has_store:
        raise UsageError(f"there is no configuration {path}, and too little was said to write one", hint=_WAYS)
    if wishes.s3 and wishes.bucket is None:
        raise UsageError("--endpoint, --region and --prefix belong to a bucket", hint="add --bucket")
    return json.dumps(_document(path, os.path.abspath(wishes.base_path), wishes), indent=4) + "\n"


def _document(path: str, base: str, wishes: Wishes) -> dict[str, object]:
    name = path.removesuffix(".json")
    store = os.path.abspath(wishes.directory) if wishes.directory is not None else None
    # The manifest's journal bears its name with an addition.
    own = {f"{name}.manifest": "*", f"{name}.lock": "", **({store: ""} if store else {})}
    ignored = list(_inside(base, own))
    return {
        "base_path": base,
        "local_manifest_file": f"{name}.manifest",
        "local_lock_file": f"{name}.lock",
        **({"s3": wishes.s3} if wishes.s3 else {}),
        **({"directory": {"path": store}} if store else {}),
        **({"ignore_files": ignored} if ignored else {}),
    }


def _inside(base: str, own: Mapping[str, str]) -> Iterator[str]:
    """Filters for those places that lie inside the base path; the value of each is put behind its filter."""
    root = os.path.realpath(base)
    for path, wildcard in own.items():
        yield from (glob.escape(text) + wildcard for text in places_below(root, path))


# --- asking ------------------------------------------------------------------------------------------------


def ask_for_missing(wishes: Wishes) -> Wishes:
    """Ask a person for what was not said. The questions go to standard error."""
    if wishes.base_path is None:
        folder = click.Path(exists=True, file_okay=False, path_type=str)
        wishes = evolve(wishes, base_path=click.prompt("Folder to back up", type=folder, err=True))
    return wishes if wishes.has_store else _ask_for_store(wishes)


def _ask_for_store(wishes: Wishes) -> Wishes:
    kinds = click.Choice(["s3", "directory"])
    if click.prompt("Back up to an S3 bucket or to a directory", type=kinds, default="s3", err=True) == "s3":
        return _ask_for_bucket(wishes)
    return evolve(wishes, directory=click.prompt("Directory", err=True))


def _ask_for_bucket(wishes: Wishes) -> Wishes:
    bucket = click.prompt("Bucket (it must exist)", err=True)
    text = "Endpoint, such as https://s3.example.com (empty: Amazon's)"
    endpoint = wishes.endpoint or click.prompt(text, default="", show_default=False, err=True)
    return evolve(wishes, bucket=bucket, endpoint=endpoint or None)


def ask_for_kit() -> bool:
    return click.confirm(
        "Put a script that restores without rrbackup into the store, as RECOVER/", default=True, err=True
    )
