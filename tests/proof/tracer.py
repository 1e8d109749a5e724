"""Runs a program and stops it at each system call of some kinds, by ptrace: there it can be killed, or the call can be
answered with an error, or what it is about to do can be recorded. The program is the one that people install.

A seccomp filter picks the calls in the kernel, so that the many others (waits, memory, clocks) cost nothing.

Linux on x86-64 (an error is written into that machine's registers); everything else is the same everywhere.
"""

import ctypes
import errno
import os
import signal
import struct
import time

SYSCALLS = {  # x86-64, by linux/arch/x86/entry/syscalls/syscall_64.tbl; other calls are never seen
    0: "read", 1: "write", 17: "pread64", 18: "pwrite64", 20: "writev", 42: "connect", 44: "sendto", 45: "recvfrom",
    46: "sendmsg", 73: "flock", 74: "fsync", 75: "fdatasync", 77: "ftruncate", 82: "rename", 83: "mkdir", 87: "unlink",
    91: "fchmod", 257: "openat",
}  # fmt: skip

SEIZE, GET_SYSCALL_INFO, POKEUSER, CONT = 0x4206, 0x420E, 6, 7
OPTIONS = 0x2 | 0x4 | 0x8 | 0x10 | 0x80 | 0x100000  # FORK, VFORK, CLONE, EXEC, SECCOMP, EXITKILL
EVENT_EXEC, EVENT_SECCOMP = 4, 7
WALL = 0x40000000
ORIG_RAX, RAX = 15 * 8, 10 * 8
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, MODE_FILTER = 38, 22, 2
LOAD, JUMP_IF, RETURN = 0x20, 0x15, 0x06  # BPF: a word at an offset; if it equals; the verdict
ALLOW, TRACE = 0x7FFF0000, 0x7FF00000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request, pid, address=0, data=0):
    result = _libc.ptrace(request, pid, address, data)
    if result == -1 and (number := ctypes.get_errno()):
        raise OSError(number, os.strerror(number))
    return result


def _filter():
    """A seccomp program that stops the calls of the table: the number is the first word of what it sees."""
    numbers = sorted(SYSCALLS)
    steps = [(LOAD, 0, 0, 0)]
    steps += [(JUMP_IF, len(numbers) - place, 0, number) for place, number in enumerate(numbers)]
    steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, TRACE)]
    return b"".join(struct.pack("<HBBI", *step) for step in steps)


FILTER = ctypes.create_string_buffer(_filter())
PROGRAM = struct.pack("<H6xQ", (len(FILTER) - 1) // 8, ctypes.addressof(FILTER))


class Call:
    """A system call at its entry: its name and six arguments."""

    def __init__(self, pid, name, arguments):
        self.pid, self.name, self.arguments = pid, name, arguments

    def memory(self, address, length):
        with open(f"/proc/{self.pid}/mem", "rb", 0) as memory:
            memory.seek(address)
            return memory.read(length)

    def text(self, address):
        """The text that ends with a zero at this address."""
        whole = b""
        while b"\0" not in whole:
            step = 4096 - (address + len(whole)) % 4096
            whole += self.memory(address + len(whole), step)
        return os.fsdecode(whole.split(b"\0")[0])

    def path(self, descriptor):
        """The file behind a descriptor."""
        try:
            return os.readlink(f"/proc/{self.pid}/fd/{descriptor}")
        except OSError:
            return ""


class Kill(Exception):
    """Raised by what looks at a call: the program dies there."""


def run(command, at_entry, out, error, seconds=600):
    """Runs it to its end. `at_entry(call)` may raise Kill, or return the number of an error: then the call is not made.
    Returns the exit status, or None if it was killed here."""
    child = os.fork()
    if child == 0:
        _become(command, out, error)
    os.waitpid(child, os.WUNTRACED)
    _ptrace(SEIZE, child, 0, OPTIONS)
    os.kill(child, signal.SIGCONT)
    started, killed, ends = False, False, time.monotonic() + seconds
    while True:
        try:
            pid, status = os.waitpid(-1, WALL)
        except ChildProcessError:
            return None
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            if pid == child:
                return None if killed else os.waitstatus_to_exitcode(status)
            continue
        if time.monotonic() > ends and not killed:
            os.kill(child, signal.SIGKILL)
            raise TimeoutError(f"{command} took longer than {seconds} s")
        stopped, event, deliver = os.WSTOPSIG(status), status >> 16, 0
        if event == EVENT_EXEC:  # from here on it is the program
            started = True
        elif event == EVENT_SECCOMP and started and not killed:
            try:
                _look(pid, at_entry)
            except Kill:
                os.kill(child, signal.SIGKILL)
                killed = True
            except ProcessLookupError:
                pass
        elif event == 0 and stopped not in (signal.SIGTRAP, signal.SIGSTOP, signal.SIGCONT):
            deliver = stopped
        try:
            _ptrace(CONT, pid, 0, deliver)
        except OSError as problem:
            if problem.errno != errno.ESRCH:
                raise


def _become(command, out, error):
    """In the child: waits for the tracer, asks the kernel to stop the calls of the table, and becomes the program."""
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(error, 2)
        os.kill(os.getpid(), signal.SIGSTOP)
        if _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or _libc.prctl(PR_SET_SECCOMP, MODE_FILTER, PROGRAM, 0, 0):
            os._exit(126)
        os.execvp(command[0], command)
    finally:
        os._exit(127)


def _look(pid, at_entry):
    """Shows a call to whoever asked, and refuses it if that is the answer."""
    information = ctypes.create_string_buffer(88)
    _ptrace(GET_SYSCALL_INFO, pid, 88, ctypes.addressof(information))
    number, *arguments = struct.unpack_from("<7Q", information.raw, 24)
    refused = at_entry(Call(pid, SYSCALLS[number], arguments))
    if refused:
        _ptrace(POKEUSER, pid, ORIG_RAX, ctypes.c_void_p(-1))
        _ptrace(POKEUSER, pid, RAX, ctypes.c_void_p(-refused))
