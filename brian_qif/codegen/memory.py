"""How the C library keeps the memory that a trial gives back, until the next one takes it."""

import ctypes
import os
import platform
from functools import lru_cache

# Names and numbers of malloc.h; in bytes.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT, _LARGE = 1 << 26, 1 << 22


@lru_cache
def keep_freed_memory() -> bool:
    """Keep up to 64 MiB of freed memory in the process, and take blocks of up to 4 MiB from it.

    A trial needs some MiB for a few milliseconds. By itself glibc gives them back to the system after each and has to
    get them again page by page, which took a tenth of a training's time. Nothing but speed depends on it. Where the
    environment says how malloc is to behave, or another C library is at work, nothing is changed.

    Returns
    -------
    bool
        Whether anything was changed.
    """
    chosen = [name for name in os.environ if name == "GLIBC_TUNABLES" or name.startswith("MALLOC_")]
    if chosen or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
    return bool(mallopt(_TRIM_THRESHOLD, _KEPT)) and bool(mallopt(_MMAP_THRESHOLD, _LARGE))
