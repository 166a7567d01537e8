"""The command line. Nothing else in the package prints, and nothing else imports this."""

from rrbackup.cli.entry import main

__all__ = ["main"]
