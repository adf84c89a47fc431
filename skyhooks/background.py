"""Threads of ours in processes of somebody else: a Celery worker and the processes of its pool.

The kernel gives a signal to any thread that does not block it. Celery's pool expects its processes to have one thread:
it blocks SIGTERM while it holds the lock of its results, and where another thread takes the signal instead, the process
ends with the lock, and the whole pool waits for it for ever. So a thread of ours takes none.
"""

import signal
import threading
from collections.abc import Callable
from typing import Final

from skyhooks.green import patched

FAULTS: Final = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP})
"""What a thread does to itself stays its own."""


def start(target: Callable[[], None], name: str) -> threading.Thread:
    """Start a daemon thread that no signal reaches; a greenlet where gevent has replaced threads."""
    thread = threading.Thread(target=target, name=name, daemon=True)
    if patched():
        thread.start()
        return thread
    # A thread begins with the mask of the one that starts it, and so do the threads that it starts.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - FAULTS)
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return thread
