"""Asks the agent of a machine in qemu to run a command; prints its output and exits with its code."""

import base64
import socket
import sys

connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
connection.sendall(base64.b64encode(sys.argv[2].encode()) + b"\n")
answer = b""
while not answer.endswith(b"\n"):
    more = connection.recv(65536)
    if not more:
        sys.exit("the machine is gone")
    answer += more
output, code = answer.split()
print(base64.b64decode(output).decode(errors="replace").rstrip("\n"))
sys.exit(int(code))
