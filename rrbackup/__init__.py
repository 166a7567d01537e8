"""rrbackup: versioning file backup to S3, as a library."""
