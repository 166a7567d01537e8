"""The imperative shell: stores, the file system and local state. It performs; `rrbackup.pure` decides."""
