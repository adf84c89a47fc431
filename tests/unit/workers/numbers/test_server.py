"""The number server as a real process, and what its clients are told."""

import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.conftest import Spawn
from tests.processes import Process, eventually
from tests.servers.numbers import HOST, Numbers

QUICK = 60_000
"""Numbers in a minute that no test waits for: one each millisecond."""
SLOW = 0.01


class Client:
    """A connection on which one line was said."""

    def __init__(self, port: int, line: bytes = b"", buffer: int = 0) -> None:
        self._socket = socket.socket()
        if buffer:
            # Small pieces too: else the kernel takes megabytes for the peer before it has to wait.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        self._socket.settimeout(10)
        self._socket.connect((HOST, port))
        self._socket.sendall(line)
        self._lines = self._socket.makefile("rb")

    def line(self) -> bytes:
        """The next line, empty at the end."""
        return self._lines.readline()

    def number(self) -> tuple[str, int]:
        """Cursor and number of the next line that is no heartbeat."""
        while (line := self.line()) == b"\n":
            pass
        cursor, number = line.decode().split()
        return cursor, int(number)

    def numbers(self, count: int) -> list[int]:
        return [self.number()[1] for _ in range(count)]

    def rest(self) -> bytes:
        """Everything until the server hangs up."""
        return self._lines.read()

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


class Server(Numbers):
    """The process, and clients of it that stay."""

    def __init__(self, process: Process, stack: ExitStack) -> None:
        super().__init__(process)
        self._stack = stack

    def client(self, line: str = "", buffer: int = 0) -> Client:
        client = Client(self.port, line.encode(), buffer)
        self._stack.callback(client.close)
        return client

    def after(self, cursor: str) -> Client:
        return self.client(f"after {cursor}\n")

    def answer(self, line: str) -> str:
        return self.say(line.encode()).decode()

    def has_counted(self, number: int) -> None:
        eventually(lambda: self.status()["number"] >= number, what=f"{number} numbers")


Serve = Callable[..., Server]


@pytest.fixture
def serve(spawn: Spawn) -> Iterator[Serve]:
    """`serve(rate, name=value)` starts a number server on a free port."""
    with ExitStack() as stack:

        def start(rate: float = QUICK, **settings: object) -> Server:
            given = [word for name, value in settings.items() for word in ("-X", f"{name}={value}")]
            return Server(spawn(command(f"{HOST}:0", "--rate-per-minute", str(rate), *given)), stack)

        yield start


def command(listen: str, *more: str) -> list[str]:
    return [sys.executable, "-P", "-m", "workers.numbers", "--listen", listen, *more]


def test_numbers_count_up_one_by_one_each_with_its_cursor(serve: Serve) -> None:
    server = serve()
    client = server.after("-")
    cursor, first = client.number()
    assert cursor == f"{server.status()['epoch']}-{first}"
    assert client.numbers(500) == list(range(first + 1, first + 501))


def test_everybody_hears_the_same_numbers(serve: Serve) -> None:
    server = serve()
    one, other = server.after("-"), server.after("-")
    heard, begun = [one.number()], other.number()
    while heard[-1][1] < begun[1]:
        heard.append(one.number())
    assert begun in heard or begun < heard[0]
    behind = heard[-1][1] - begun[1]
    assert [begun, *(other.number() for _ in range(behind + 100))][behind:] == [
        heard[-1],
        *(one.number() for _ in range(100)),
    ]


def test_who_comes_back_with_a_cursor_gets_what_follows_it(serve: Serve) -> None:
    server = serve()
    client = server.after("-")
    seen = client.numbers(5)
    cursor, number = client.number()
    client.close()
    server.has_counted(number + 100)
    assert server.after(cursor).numbers(200) == list(range(number + 1, number + 201))
    assert seen[-1] == number - 1


def test_without_a_cursor_it_begins_with_what_comes_from_now_on(serve: Serve) -> None:
    server = serve()
    server.has_counted(100)
    before = server.status()["number"]
    assert server.after("-").number()[1] > before


def test_a_cursor_of_another_epoch_gets_everything_that_is_remembered(serve: Serve) -> None:
    server = serve()
    server.has_counted(50)
    assert server.after("0ther-40").numbers(60) == list(range(1, 61))


@pytest.mark.parametrize("epoch", ["", "0ther"])
def test_too_old_a_cursor_gets_what_is_remembered(serve: Serve, epoch: str) -> None:
    server = serve(numbers_history=20)
    server.has_counted(100)
    before = server.status()
    client = server.after(f"{epoch or before['epoch']}-1")
    (first,) = client.numbers(1)
    assert before["number"] - 20 < first <= server.status()["number"] - 19
    assert client.numbers(19) == list(range(first + 1, first + 20))


def test_a_cursor_that_is_ahead_waits_for_no_number(serve: Serve) -> None:
    server = serve()
    server.has_counted(1)
    status = server.status()
    assert server.after(f"{status['epoch']}-{10**17}").number()[1] < 10**6


def test_every_start_is_another_epoch(serve: Serve) -> None:
    assert serve().status()["epoch"] != serve().status()["epoch"]


def test_an_empty_line_is_a_sign_of_life_while_no_number_comes(serve: Serve) -> None:
    client = serve(SLOW).after("-")
    assert [client.line(), client.line()] == [b"\n", b"\n"]


def test_its_status_tells_who_listens_and_how_far_it_is(serve: Serve) -> None:
    server = serve(SLOW)
    status = server.status()
    assert status == {"clients": 0, "served": 0, "number": 0, "epoch": status["epoch"], "rate_per_minute": SLOW}
    first, _ = server.after("-"), server.after("-")
    eventually(lambda: server.status()["clients"] == 2, what="two clients")
    first.close()
    eventually(lambda: server.status()["clients"] == 1, what="one client")
    assert server.status()["served"] == 2


@pytest.mark.parametrize(
    "line",
    [
        "",
        "hello",
        "after",
        "after ",
        "after x",
        "after X-1",
        "after -1",
        f"after 7x-{10**18}",
        "status please",
        "GET / HTTP/1.1",
    ],
)
def test_another_line_is_told_what_is_expected_and_changes_nothing(serve: Serve, line: str) -> None:
    server = serve(SLOW)
    assert server.answer(f"{line}\r\n") == "error bad_line expected `after CURSOR`, `after -` or `status`\n"
    assert (server.status()["clients"], server.status()["served"]) == (0, 0)
    assert "Traceback" not in server.process.output


def test_garbage_is_answered_and_leaves_no_traceback(serve: Serve) -> None:
    server = serve(SLOW)
    for line in ("\n", "\0\x7f\n", "é\n", "x" * 5000, "x" * 500_000 + "\n"):
        assert server.answer(line).startswith("error bad_line ")
    server.client().close()
    server.client("after").close()
    assert server.status()["number"] == 0
    assert "Traceback" not in server.process.output


def test_a_client_that_says_nothing_is_told_so(serve: Serve) -> None:
    server = serve(SLOW, numbers_seconds=0.2)
    assert server.answer("") == "error too_slow a client says what it wants within 0.2 s\n"
    assert server.answer("after ").startswith("error too_slow ")


def test_there_is_room_for_so_many_clients_and_again_when_one_leaves(serve: Serve) -> None:
    server = serve(numbers_clients=2)
    first, second = server.after("-"), server.after("-")
    first.number()
    second.number()
    assert server.answer("after -\n").startswith("error too_many_clients ")
    assert server.status()["clients"] == 2
    first.close()
    eventually(lambda: server.status()["clients"] == 1, what="one client")
    server.after("-").number()


def test_those_who_say_nothing_are_bounded_too(serve: Serve) -> None:
    server = serve(numbers_clients=2, numbers_seconds=10)
    for _ in range(2):
        server.client("aft")
    eventually(
        lambda: server.answer("status\n").startswith("error too_many_clients "), what="a refusal of one too many"
    )


def test_who_does_not_read_is_cut_off_and_delays_nobody(serve: Serve) -> None:
    server = serve(10 * QUICK, numbers_seconds=0.5, numbers_history=1_000_000)
    reader = server.after("-")
    first = reader.number()[1]
    slow = server.client("after -\n", buffer=2048)
    eventually(lambda: server.status()["clients"] == 2, what="both listen")
    seen = []
    while server.status()["clients"] == 2:
        seen += reader.numbers(1000)
    assert seen == list(range(first + 1, first + 1 + len(seen)))
    # The last thousand may have come after it was cut off; those before did while the server waited for it.
    *_, last, _ = slow.rest().split(b"\n")
    assert seen[-1001] > int(last.split()[-1])
    assert "Traceback" not in server.process.output


def test_sigterm_ends_it_and_its_clients_in_order(serve: Serve) -> None:
    server = serve()
    client = server.after("-")
    client.number()
    server.client("after")
    server.process.signal(signal.SIGTERM)
    assert server.process.wait() == 0
    assert client.rest().endswith(b"\n")
    assert "Traceback" not in server.process.output


def test_sigint_ends_it_too_while_no_number_comes(serve: Serve) -> None:
    server = serve(SLOW)
    server.after("-").line()
    server.process.signal(signal.SIGINT)
    assert server.process.wait() == 0


@pytest.mark.parametrize("listen", ["7000", ":7000", "127.0.0.1:", "127.0.0.1:70000", "127.0.0.1:-1", "127.0.0.1:²"])
def test_an_address_that_is_none_is_one_sentence(spawn: Spawn, listen: str) -> None:
    process = spawn(command(listen))
    assert process.wait() == 1
    (line,) = process.lines
    assert "numbers_listen is HOST:PORT such as 127.0.0.1:7000" in line


@pytest.mark.parametrize("host", ["192.0.2.1", "not..a..name"])
def test_an_address_that_is_not_here_is_one_sentence(spawn: Spawn, host: str) -> None:
    process = spawn(command(f"{host}:0"))
    assert process.wait() == 1
    (line,) = process.lines
    assert line.startswith("Error: cannot serve numbers: ")


def test_a_port_that_is_taken_is_one_sentence(serve: Serve, spawn: Spawn) -> None:
    process = spawn(command(f"127.0.0.1:{serve(SLOW).port}"))
    assert process.wait() == 1
    (line,) = process.lines
    assert "cannot serve numbers: " in line


@pytest.mark.parametrize(("option", "value"), [("--rate-per-minute", "0"), ("-X", "numbers_history=x"), ("-X", "x=1")])
def test_a_setting_that_cannot_be_used_is_one_sentence(spawn: Spawn, option: str, value: str) -> None:
    process = spawn(command("127.0.0.1:0", option, value))
    assert process.wait() == 1
    (line,) = process.lines
    assert line.startswith("Error: ")
