"""Runs a program and stops it at each system call of some kinds, by ptrace: there it can be killed, or the call can be
answered with an error, or what it is about to do can be recorded. The program is the one that people install.

Linux on x86-64 (an error is written into that machine's registers); everything else is the same everywhere.
"""

import ctypes
import errno
import os
import signal
import struct

SYSCALLS = {  # x86-64, by linux/arch/x86/entry/syscalls/syscall_64.tbl
    0: "read", 1: "write", 2: "open", 3: "close", 17: "pread64", 18: "pwrite64", 19: "readv", 20: "writev",
    42: "connect", 44: "sendto", 45: "recvfrom", 46: "sendmsg", 47: "recvmsg", 73: "flock", 74: "fsync",
    75: "fdatasync", 76: "truncate", 77: "ftruncate", 82: "rename", 83: "mkdir", 86: "link", 87: "unlink",
    90: "chmod", 91: "fchmod", 257: "openat", 258: "mkdirat", 263: "unlinkat", 264: "renameat", 265: "linkat",
    268: "fchmodat", 285: "fallocate", 296: "pwritev", 316: "renameat2", 437: "openat2",
}  # fmt: skip

SEIZE, SYSCALL, SETOPTIONS, GET_SYSCALL_INFO, POKEUSER, CONT = 0x4206, 24, 0x4200, 0x420E, 6, 7
OPTIONS = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x100000  # SYSGOOD, FORK, VFORK, CLONE, EXEC, EXITKILL
ENTRY, EXIT = 1, 2
WALL = 0x40000000
ORIG_RAX, RAX = 15 * 8, 10 * 8

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request, pid, address=0, data=0):
    result = _libc.ptrace(request, pid, address, data)
    if result == -1 and (number := ctypes.get_errno()):
        raise OSError(number, os.strerror(number))
    return result


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


def run(command, at_entry, out, error, at_exit=None, environment=None, seconds=60):
    """Runs it to its end. `at_entry(call)` may raise Kill, or return the number of an error: then the call is not made.
    `at_exit(call, result)` sees what became of a call that was made. Returns the exit status, or None if it was killed
    here."""
    import time

    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(out, 1)
            os.dup2(error, 2)
            os.kill(os.getpid(), signal.SIGSTOP)
            os.execvpe(command[0], command, environment or dict(os.environ))
        finally:
            os._exit(127)
    os.waitpid(child, os.WUNTRACED)
    _ptrace(SEIZE, child, 0, OPTIONS)
    os.kill(child, signal.SIGCONT)
    information = ctypes.create_string_buffer(88)
    pending, started, killed = {}, False, False
    ends = time.monotonic() + seconds

    while True:
        try:
            pid, status = os.waitpid(-1, WALL)
        except ChildProcessError:
            return None
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            pending.pop(pid, None)
            if pid == child:
                if killed:
                    return None
                return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
            continue
        if time.monotonic() > ends and not killed:
            os.kill(child, signal.SIGKILL)
            raise TimeoutError(f"{command} took longer than {seconds} s")
        stopped, event = os.WSTOPSIG(status), status >> 16
        deliver = 0
        if stopped == signal.SIGTRAP | 0x80:
            try:
                _ptrace(GET_SYSCALL_INFO, pid, 88, ctypes.addressof(information))
                kind = information.raw[0]
                if kind == ENTRY and started and not killed:
                    number, *arguments = struct.unpack_from("<7Q", information.raw, 24)
                    name = SYSCALLS.get(number)
                    if name:
                        call = Call(pid, name, arguments)
                        refused = at_entry(call)
                        if refused:
                            _ptrace(POKEUSER, pid, ORIG_RAX, ctypes.c_void_p(-1))
                        pending[pid] = (call, refused)
                elif kind == EXIT and pid in pending:
                    call, refused = pending.pop(pid)
                    if refused:
                        _ptrace(POKEUSER, pid, RAX, ctypes.c_void_p(-refused))
                    elif at_exit:
                        at_exit(call, struct.unpack_from("<q", information.raw, 24)[0])
            except Kill:
                os.kill(child, signal.SIGKILL)
                killed = True
            except ProcessLookupError:
                pass
        elif event == 4:  # exec: from here on it is the program
            started = True
        elif event == 0 and stopped not in (signal.SIGTRAP, signal.SIGSTOP, signal.SIGCONT):
            deliver = stopped
        try:
            _ptrace(SYSCALL, pid, 0, deliver)
        except OSError as problem:
            if problem.errno != errno.ESRCH:
                raise
