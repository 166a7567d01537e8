"""Why a plan does something about a path, as stored plans and people read it."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a plan does something about a path."""

    NEW = "new"
    TYPE = "type changed"
    SIZE = "size changed"
    MTIME = "mtime changed"
    CTIME = "ctime changed"
    INODE = "inode changed"
    MODE = "mode changed"
    EXTRA = "owner, attributes or links changed"
    TARGET = "link target changed"
    RECENT = "modified during or just before the last backup"
    UNSEEN = "not seen on this disk before"
    CONTENT = "content comparison asked for"
    GONE = "gone"
    IGNORED = "now ignored"
    CACHE = "now in a folder that CACHEDIR.TAG marks"
    MARKED = "now in a folder that a file of exclude_if_present marks"
    LARGE = "now larger than exclude_larger_than"
    IN_THE_WAY = "something else has its place"
    REPROCESS = "file_pipeline asks for more than it is stored with"
    DAMAGED = "what is stored of it is damaged"
