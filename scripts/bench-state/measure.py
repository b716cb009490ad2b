"""Runs a pipeline and appends what it cost to a file, as one line: wall and CPU seconds, peak memory in KiB.

usage: measure.py RESULTS [KEY...] -- COMMAND... [`|` COMMAND...] [`>` FILE]

CPU is user and system time, and peak memory the sum of the peaks, of all processes of the pipeline with their children.
The line begins with the keys. Owns the measuring alone: what is measured says bench-state.sh.
"""

import os
import sys
import time


def split(words, separator):
    part = []
    for word in words:
        if word == separator:
            yield part
            part = []
        else:
            part.append(word)
    yield part


def start(command, stdin, stdout):
    # posix_spawn closes what it is not told to keep: Python opens descriptors as close-on-exec.
    actions = [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1)]
    return os.posix_spawnp(command[0], command, os.environ, file_actions=actions)


def main():
    results, *rest = sys.argv[1:]
    keys, words = rest[: rest.index("--")], rest[rest.index("--") + 1 :]
    output = os.open("/dev/null", os.O_WRONLY)
    if len(words) > 2 and words[-2] == ">":
        output = os.open(words[-1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        words = words[:-2]
    commands = list(split(words, "|"))
    stdin = os.open("/dev/null", os.O_RDONLY)
    began = time.monotonic()
    running = []
    for command in commands:
        is_last = command is commands[-1]
        reader, writer = (None, output) if is_last else os.pipe()
        running.append(start(command, stdin, writer))
        # An end left open here would keep the next command waiting for more.
        os.close(stdin)
        os.close(writer)
        stdin = reader
    cpu, peak = 0.0, 0
    for pid in running:
        _, status, usage = os.wait4(pid, 0)
        if status != 0:
            sys.exit(f"measure: {' '.join(words)}: failed")
        cpu += usage.ru_utime + usage.ru_stime
        peak += usage.ru_maxrss
    wall = time.monotonic() - began
    with open(results, "a", encoding="utf-8") as out:
        print(*keys, f"{wall:.4f}", f"{cpu:.4f}", peak, file=out)


main()
