"""Keeps this process from all but reading files and answering, for the rest of its life: `confine`.

Two walls of the Linux kernel, each where there is one. Landlock: no file is written, made or removed, no program is
started, no TCP, no signal to another process, and no look into one. seccomp: an allow-list of system calls, those that
decoding needs; in place of any other the kernel gives EPERM. What stays: the process may read the files that its user
may read, and answer through the pipe that it has.
"""

import contextlib
import errno
import os
import resource
import sys
from typing import Any

_MAX_FILES = 64
# The names of Linux. Reading and memory, signals and times of its own, its own end.
_CALLS = """
    read readv pread64 preadv lseek _llseek close fstat fstat64 newfstatat fstatat64 stat stat64 lstat lstat64 statx
    statfs fstatfs getdents getdents64 readlink readlinkat access faccessat faccessat2 getcwd write writev
    mmap mmap2 munmap mremap mprotect madvise brk futex futex_time64 set_robust_list get_robust_list rseq membarrier
    rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall alarm setitimer getitimer
    clock_gettime clock_gettime64 clock_getres clock_nanosleep nanosleep gettimeofday time getrandom
    getpid gettid getppid getuid geteuid getgid getegid getpgrp sched_yield sched_getaffinity getcpu
    poll ppoll select pselect6 exit exit_group getrlimit getrusage sysinfo uname
"""
_FILE_COMMANDS = (1, 2, 3, 1030)  # F_GETFD F_SETFD F_GETFL F_DUPFD_CLOEXEC; others can send signals or change files
_TEMPORARY_FILE = 0o20000000  # the bit of O_TMPFILE that is not O_DIRECTORY
_WRITES = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | os.O_APPEND | _TEMPORARY_FILE


def confine() -> tuple[str, ...]:
    """Confine this process for the rest of its life. No other thread may run yet.

    Returns:
        What is in force, in words; nothing where the kernel offers nothing.
    """
    # Looking for libseccomp starts a program, so it comes before the first wall.
    filters = _call_filter() if sys.platform == "linux" else None
    _limit()
    walls = (_landlock(), _loaded(filters)) if sys.platform == "linux" else ()
    standing = tuple(wall for wall in walls if wall)
    return ("no new privileges", *standing) if standing else ()


def _limit() -> None:
    """No child processes, few files, no core dumps (which would hold films), no files written."""
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_FILES, _MAX_FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _landlock() -> str:
    """Enforce a ruleset that grants reading alone; the rights that a kernel does not know it cannot deny."""
    try:
        from landlockpy import AccessFS, AccessNet, Ruleset, Scope, abi_version

        abi = abi_version()
        if not abi:
            return ""
        with Ruleset(scoped=Scope.SIGNAL | Scope.ABSTRACT_UNIX_SOCKET) as rules:
            rules.allow_path("/", AccessFS.READ_FILE | AccessFS.READ_DIR)
            rules.restrict()
    except (ImportError, OSError):
        return ""
    denied = ["programs", "changes of files"]
    denied += ["TCP"] if rules.handled_net & AccessNet.CONNECT_TCP else []
    denied += ["signals to others"] if rules.scoped & Scope.SIGNAL else []
    return f"Landlock {abi} (no {', no '.join(denied)})"


def _call_filter() -> Any:
    """Build the filter, None without pyseccomp or the libseccomp of the system (which it tells by RuntimeError)."""
    try:
        import pyseccomp as seccomp

        rules = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    except (ImportError, OSError, RuntimeError):
        return None
    equal, masked = seccomp.EQ, seccomp.MASKED_EQ
    conditions = [
        ("openat", seccomp.Arg(2, masked, _WRITES, os.O_RDONLY)),
        ("open", seccomp.Arg(1, masked, _WRITES, os.O_RDONLY)),
        *(("fcntl", seccomp.Arg(1, equal, command)) for command in _FILE_COMMANDS),
        ("prlimit64", seccomp.Arg(2, equal, 0)),  # asking, not setting
        ("tgkill", seccomp.Arg(0, equal, os.getpid())),  # abort() ends the process itself
    ]
    for call, *condition in (*((call,) for call in _CALLS.split()), *conditions):
        # Not every architecture has every call.
        with contextlib.suppress(OSError):
            rules.add_rule(seccomp.ALLOW, call, *condition)
    return rules


def _loaded(rules: Any) -> str:
    """Put the filter in force."""
    try:
        if rules is None:
            return ""
        rules.load()
    except OSError:
        return ""
    return "seccomp (no network, no programs, no changes of files, no signals to others)"
