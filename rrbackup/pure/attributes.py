"""What an entry may hold besides content, mode and time: owner, extended attributes, hard links, holes."""

from attrs import frozen


@frozen
class Owner:
    """Whom something belongs to: numbers, and the names that they had on the machine that was backed up."""

    uid: int
    gid: int
    user: str | None = None
    group: str | None = None


@frozen
class XAttr:
    """An extended attribute: its name, percent-escaped like a path, and its value in base64."""

    name: str
    value: str


@frozen
class Extra:
    """What most entries say nothing of. `hardlink` is the path of another name of the same file, the first in path
    order.

    `sparse`: the file had holes. `xattrs` are sorted by name.
    """

    owner: Owner | None = None
    xattrs: tuple[XAttr, ...] = ()
    hardlink: str | None = None
    sparse: bool = False
