"""Runs a command on a terminal of its own and types a line at each prompt.

Usage: typed.py LINE COMMAND ARGUMENT…
"""

import os
import pty
import sys

line, command = sys.argv[1], sys.argv[2:]
child, terminal = pty.fork()
if child == 0:
    os.execvp(command[0], command)
try:
    while said := os.read(terminal, 4096):
        if said.rstrip().endswith(b":"):
            os.write(terminal, line.encode() + b"\n")
except OSError:
    pass  # the terminal is closed
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
