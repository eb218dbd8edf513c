"""Whether this machine has the semaphores of POSIX, which torch's elastic agent and data workers need."""

from __future__ import annotations

from multiprocessing import get_context

NEEDED = "/dev/shm should be a writable tmpfs with hard links"


def fault() -> str:
    """Return why a semaphore cannot be made, "" if it can.

    glibc keeps semaphores as files in /dev/shm, which containers and sandboxes may lack or mount read-only.
    """
    try:
        get_context("fork").Lock()
    except (ImportError, OSError) as error:
        return f"no semaphore can be made ({error}): {NEEDED}"
    return ""
