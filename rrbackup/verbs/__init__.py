"""What one can ask of a repository, by subject; `rrbackup.api` puts them together."""
