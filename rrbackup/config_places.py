"""Where the paths of a configuration really lie, and how that is written as the path of a backup.

The rule: a path is the entry of that name in its folder and, if that is a link, also the place where it leads. What
must be kept is kept at both.
"""

import os

from rrbackup.pure.model import PathText
from rrbackup.pure.names import path_text


def places(path: str) -> tuple[str, ...]:
    """Absolute, sorted, and free of links but perhaps for the last name."""
    folder, name = os.path.split(os.path.abspath(path))
    return tuple(sorted({os.path.join(os.path.realpath(folder), name), os.path.realpath(path)}))


def places_below(folder: str, path: str) -> tuple[PathText, ...]:
    """Those places of `path` that lie below `folder`, as path texts counted from there; `folder` is free of links."""
    return tuple(text for place in places(path) if (text := below(folder, place)) is not None)


def below(folder: str, path: str) -> PathText | None:
    """The path text of `path` counted from `folder`; None where it does not lie below. Both as `places` gives them."""
    root = folder.rstrip("/") + "/"
    return path_text(os.fsencode(path.removeprefix(root))) if path.startswith(root) else None
