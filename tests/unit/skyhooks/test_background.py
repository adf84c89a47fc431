"""A thread of ours takes no signals, and its starter takes them as before."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

from skyhooks import background


def blocked(tid: int) -> set[int]:
    """The signals that the kernel does not give to a thread."""
    status = Path(f"/proc/self/task/{tid}/status").read_text()
    mask = int(next(line for line in status.splitlines() if line.startswith("SigBlk")).split()[1], 16)
    return {number for number in range(1, 65) if mask >> number - 1 & 1}


def test_a_thread_takes_no_signals_and_neither_do_those_that_it_starts() -> None:
    seen: dict[str, int] = {}
    go = threading.Event()

    def child() -> None:
        seen["child"] = threading.get_native_id()
        go.wait(30)

    def work() -> None:
        seen["own"] = threading.get_native_id()
        inner = threading.Thread(target=child)
        inner.start()
        inner.join()

    before = blocked(threading.get_native_id())
    thread = background.start(work, "t")
    while len(seen) < 2:
        assert thread.is_alive()
    for tid in seen.values():
        assert {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD} <= blocked(tid)
        assert not {signal.SIGSEGV, signal.SIGBUS} & blocked(tid)
    assert blocked(threading.get_native_id()) == before
    go.set()
    thread.join(30)
    assert (thread.name, thread.daemon) == ("t", True)


def test_where_threads_are_greenlets_the_process_takes_signals_as_before() -> None:
    code = (
        "import gevent.monkey; gevent.monkey.patch_all()\n"
        "import signal\n"
        "from skyhooks import background\n"
        "ran = []\n"
        "background.start(lambda: ran.append(signal.pthread_sigmask(signal.SIG_BLOCK, ())), 't').join()\n"
        "assert ran == [set()], ran\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
