"""Runs one command as a child and writes down what it took: `python -I -S launcher.py REPORT OUTPUT COMMAND...`.

A process of its own, with next to nothing imported, because Linux counts the memory of whoever starts a process towards
that process's peak: started by the whole harness, a small program would seem to need as much as the harness.
"""

import json
import os
import sys
import time


def main(report: str, output: str, command: list[str]) -> None:
    to_file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    actions = [(os.POSIX_SPAWN_DUP2, *pair) for pair in ((nothing, 0), (to_file, 1), (to_file, 2))]
    began = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
    _, status, used = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    taken = {
        "code": os.waitstatus_to_exitcode(status),
        "wall_s": wall,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * 1024,
    }
    with open(report, "w") as file:
        json.dump(taken, file)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
