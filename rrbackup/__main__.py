"""`python -m rrbackup` is the command `rrbackup`."""

import sys

from rrbackup.cli import main

if __name__ == "__main__":
    sys.exit(main())
