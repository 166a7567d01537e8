"""Running a program of the documents or examples as its reader would: with this tree's rrbackup, and nothing around it.

The rule: a test that starts Python must say which rrbackup it means. The one that is installed may be of another tree,
or be changed while the test runs; and settings of whoever runs the tests must not reach the program.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
_FOREIGN = ("RRBACKUP_", "AWS_", "PYTHON")


def environment() -> Mapping[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**own, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "AWS_EC2_METADATA_DISABLED": "true"}


def run_python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, check=False)
