"""The benchmark of rrbackup beside restic and rclone: `python -m bench`; bench/README.md says how to read it."""
