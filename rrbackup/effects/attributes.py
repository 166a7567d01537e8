"""Owner and extended attributes of what is on disk: reading them for a backup, giving them back in a restore.

The rule decided here: an owner is the user and group of that name on this machine, and the number where there is none
of that name.
"""

import base64
import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial

from attrs import field, frozen

from rrbackup.errors import DamagedObject
from rrbackup.pure.attributes import Extra, Owner, XAttr
from rrbackup.pure.giving import SET_ID, Given, Gives, Ids
from rrbackup.pure.model import NOT_RECORDED, Entry
from rrbackup.pure.names import escape, unescape

_NO_XATTRS = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


# --- reading -----------------------------------------------------------------------------------------------------


@frozen
class Extras:
    """What is read of everything in the tree, beyond what is always read."""

    owner: bool = False
    xattrs: bool = False
    wanted: bool = field(init=False)

    @wanted.default
    def _wanted(self) -> bool:
        return self.owner or self.xattrs

    def of(self, entry: os.DirEntry[str], folder_fd: int, *, follow: bool) -> Extra | None:
        """Of an entry of the folder with that descriptor. Links have an owner, but no attributes of their own here."""
        seen = entry.stat(follow_symlinks=follow)
        owner = owner_of(seen) if self.owner else None
        bare = not self.xattrs or stat.S_ISLNK(seen.st_mode)
        xattrs = () if bare else read_xattrs(f"/proc/self/fd/{folder_fd}/{entry.name}", follow=follow)
        return Extra(owner, xattrs) if owner is not None or xattrs else None


def owner_of(seen: os.stat_result) -> Owner:
    return Owner(seen.st_uid, seen.st_gid, _user(seen.st_uid), _group(seen.st_gid))


def read_xattrs(place: str, *, follow: bool) -> tuple[XAttr, ...]:
    """All that this process may see, by name; none on a file system that has none. Raises OSError."""
    try:
        names = sorted(os.listxattr(place, follow_symlinks=follow))
    except OSError as error:
        if error.errno in _NO_XATTRS:
            return ()
        raise
    return tuple(_read(place, name, follow) for name in names)


def _read(place: str, name: str, follow: bool) -> XAttr:
    value = os.getxattr(place, name, follow_symlinks=follow)
    return XAttr(escape(os.fsencode(name)), base64.b64encode(value).decode())


@cache
def _user(uid: int) -> str | None:
    return _name_of(lambda: pwd.getpwuid(uid).pw_name)


@cache
def _group(gid: int) -> str | None:
    return _name_of(lambda: grp.getgrgid(gid).gr_name)


def _name_of(look_up: Callable[[], str]) -> str | None:
    try:
        return look_up()
    except (KeyError, OverflowError):
        return None


# --- giving back -------------------------------------------------------------------------------------------------


def gives_for(entries: Iterable[Entry], *, owners: bool | None) -> Gives:
    """What can be given back here. `owners` says whether owners are; None: if this is root."""
    root = os.geteuid() == 0
    if not (root if owners is None else owners):
        return Gives(system=root)
    recorded = {e.extra.owner for e in entries if e.extra is not None and e.extra.owner is not None}
    return Gives({owner: ids_of(owner) for owner in recorded}, root)


def ids_of(owner: Owner) -> Ids:
    """By name, and by number where nobody here has that name."""
    return _number_of(owner.user, owner.uid, _uid_named), _number_of(owner.group, owner.gid, _gid_named)


def _uid_named(name: str) -> int:
    return pwd.getpwnam(name).pw_uid


def _gid_named(name: str) -> int:
    return grp.getgrnam(name).gr_gid


def _number_of(name: str | None, number: int, look_up: Callable[[str], int]) -> int:
    try:
        return number if name is None else look_up(name)
    except (KeyError, ValueError):  # no such name, or one that no name can be
        return number


Place = int | str
"""An open file or folder, or a path that leads to it."""


def give(place: Place, given: Given) -> tuple[str, ...]:
    """Owner, attributes, permissions and time, in the order in which none of them undoes another.

    Gives what could not be set, in words. Raises OSError and OverflowError for permissions and time.
    """
    failed = tuple(_extras(place, given)) if given.ids is not None or given.xattrs else ()
    if given.mode != NOT_RECORDED:
        os.chmod(place, given.mode & ~SET_ID if failed else given.mode)
    os.utime(place, ns=(given.mtime_ns, given.mtime_ns))
    return failed


def _extras(place: Place, given: Given) -> Iterator[str]:
    if given.ids is not None:
        yield from attempt("its owner", partial(os.chown, place, *given.ids))
    for xattr in given.xattrs:
        yield from attempt(f"its attribute {xattr.name}", partial(_set_xattr, place, xattr))


def attempt(what: str, action: Callable[[], None]) -> Iterator[str]:
    """Nothing, or what could not be set and why."""
    try:
        action()
    except (OSError, OverflowError, ValueError, DamagedObject) as error:
        yield f"{what} ({error.strerror if isinstance(error, OSError) else 'it is none that there can be'})"


def _set_xattr(place: Place, xattr: XAttr) -> None:
    os.setxattr(place, unescape(xattr.name), base64.b64decode(xattr.value, validate=True))
