"""How many files may move at a time. Apart from the rule (`pure.concurrency`), as every command knows the bounds."""

FIRST_THREADS = 16
MOST_THREADS = 64
MOST_ASKED = 256
"""What somebody may ask for."""
