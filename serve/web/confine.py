"""A worker's walls: how much it may allocate, and which files it may open, whatever a hostile file makes a reader do.

Memory is limited by RLIMIT_AS. Files are limited by Landlock, which the Linux kernel has since 5.13: after
:func:`only_these` neither Python nor any C library in the process can open anything else. Where the kernel has none
of it, the readers' own checks stand alone, and ``/readyz`` says so.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""System calls, the same number on every architecture."""
PATH_BENEATH, NO_NEW_PRIVILEGES, VERSION = 1, 38, 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
READING = READ_FILE | READ_DIR | EXECUTE
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
NET = 0b11
"""To bind and to connect over TCP: rights that no rule below gives back."""


def limit_memory(allowed_bytes: int) -> None:
    """Let this process allocate so much beyond what it holds; more is a MemoryError."""
    now = _address_space_bytes()
    if now:
        resource.setrlimit(resource.RLIMIT_AS, (now + allowed_bytes, now + allowed_bytes))


def only_these(readable: Iterable[Path], writable: Iterable[Path]) -> bool:
    """Confine this process to some folders and files, and to no network, for good.

    Returns:
        Whether it could be done.

    """
    kernel = ctypes.CDLL(None, use_errno=True)
    version = kernel.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), VERSION) if sys.platform == "linux" else -1
    if version < 1:
        return False
    rights = _rights(version)
    rules = struct.pack("=QQ", rights, NET if version >= 4 else 0)
    ruleset = kernel.syscall(CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), 0)
    if ruleset < 0:
        return False
    for path in readable:
        _allow(kernel, ruleset, path, READING & rights)
    for path in writable:
        _allow(kernel, ruleset, path, rights & ~EXECUTE)
    kernel.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    done = kernel.syscall(RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return bool(done)


def system_files() -> list[Path]:
    """Return what Python and its libraries read: themselves, time zones, what the kernel says of the machine."""
    own = {Path(path) for path in (sys.prefix, sys.base_prefix, *sysconfig.get_paths().values())}
    own.add(Path(__file__).resolve().parents[2])  # a checkout that is run where it lies
    system = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share", "/usr/local/lib", "/etc/ld.so.cache")
    machine = ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu", "/dev/urandom", "/dev/null")
    return sorted(path for path in (*own, *map(Path, (*system, *machine))) if path.exists())


def _rights(version: int) -> int:
    """Every right of the file system that this version of Landlock knows; device ioctls are left alone."""
    known = {1: 13, 2: 14}.get(version, 15)
    return (1 << known) - 1


def _allow(kernel: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    granted = rights if path.is_dir() else rights & FILE_RIGHTS
    kernel.syscall(ADD_RULE, ruleset, PATH_BENEATH, struct.pack("=Qi", granted, place), 0)
    os.close(place)


def _address_space_bytes() -> int:
    """Return the size of this process's address space; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 0
    return pages * resource.getpagesize()
