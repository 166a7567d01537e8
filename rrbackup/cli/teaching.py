"""The texts of `-h` that teach. A `\\b` keeps the lines of the paragraph behind it as they are (click)."""

from rrbackup.cli.exit_codes import MEANINGS

PROGRAM = """Versioning file backup to S3 or to a directory.

    A backup of a whole tree is one commit: it is there as a whole or not at all, and every earlier one can still be
    listed and downloaded. Without a COMMAND, a backup is made.

    \b
    Getting started:
      rrbackup init --base-path ~/documents --directory /mnt/disk/backup
      rrbackup                                 back up now; later, what has changed
      rrbackup list_versions                   newest last
      rrbackup list_files latest
      rrbackup download latest /tmp/restored

    With a bucket, write --bucket NAME in place of --directory; the bucket must exist. The keys come from the
    environment, from ~/.aws, or from "s3" in the configuration file.

    A VERSION is a version id, an unambiguous beginning of one, latest, or latest~1 for the one before it, and so on. In
    its place, --at TIME stands for the last one that is not later. Dashes may stand in place of the underscores.
    """


def exit_codes() -> str:
    rows = "\n".join(f"  {code.value:>3}  {meaning}" for code, meaning in MEANINGS.items())
    return f"\b\nExit codes:\n{rows}"


def examples(*lines: str) -> str:
    """The epilogue of one command."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
