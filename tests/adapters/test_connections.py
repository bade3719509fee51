"""Which kept connections serve again, and that nobody gets another one's answer."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from messaging.adapters import http as http_module
from messaging.adapters import network
from messaging.adapters.http import Http
from messaging.errors import Verdict

from .recorder import Recorder
from .stage import JSON, OK, Play, Stage, answering, client_for, failing, reset, take_request


def staying(connection: socket.socket) -> None:
    while True:
        take_request(connection)
        connection.sendall(OK + JSON)


def calls(http: Http, url: str, count: int = 2) -> None:
    for _ in range(count):
        assert http.call("send", "POST", url, form={"a": "1"}).data == {"answer": 42}


def test_connections_are_kept(stage: Callable[[Play], Stage]) -> None:
    on_stage = stage(staying)
    calls(client_for("127.0.0.1"), on_stage.url, 3)
    assert on_stage.connections == 1


@pytest.mark.parametrize("hang_up", [socket.socket.close, reset])
def test_dropped_connections_are_noticed(
    stage: Callable[[Play], Stage], hang_up: Callable[[socket.socket], None]
) -> None:
    """The server hangs up between two requests, without having announced it."""
    read, gone = threading.Event(), threading.Event()

    def play(connection: socket.socket) -> None:
        take_request(connection)
        connection.sendall(OK + JSON)
        read.wait(2)
        hang_up(connection)
        gone.set()

    on_stage = stage(play)
    http = client_for("127.0.0.1")
    for _ in range(3):
        calls(http, on_stage.url, 1)
        read.set()
        assert gone.wait(2)
        read.clear()
        gone.clear()
    assert on_stage.connections == 3


def test_rested_connections_do_not_serve_again(
    stage: Callable[[Play], Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 1 < network.IDLE_LIMIT < 5
    on_stage = stage(staying)
    http = client_for("127.0.0.1")
    calls(http, on_stage.url, 1)
    monkeypatch.setattr(network, "IDLE_LIMIT", 0.01)
    time.sleep(0.02)
    calls(http, on_stage.url, 1)
    assert on_stage.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + JSON,
        b"HTTP/1.0 200 OK\r\nContent-Length: 15\r\n\r\n" + JSON,
    ],
)
def test_announced_endings_are_respected(stage: Callable[[Play], Stage], answer: bytes) -> None:
    on_stage = stage(answering(answer, close=False))
    calls(client_for("127.0.0.1"), on_stage.url, 2)
    assert on_stage.connections == 2


def test_a_broken_exchange_leaves_no_connection(stage: Callable[[Play], Stage]) -> None:
    """What was on its way is never taken for the answer to the next request."""
    turns = iter([OK + JSON[:5], OK + JSON])

    def play(connection: socket.socket) -> None:
        take_request(connection)
        connection.sendall(next(turns))

    on_stage = stage(play)
    http = client_for("127.0.0.1", read_timeout=0.3)
    failing(http, on_stage.url)
    calls(http, on_stage.url, 1)
    assert on_stage.connections == 2


def test_after_a_fork_nothing_is_shared(
    stage: Callable[[Play], Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_stage = stage(staying)
    http = client_for("127.0.0.1")
    calls(http, on_stage.url, 1)
    child = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: child)
    calls(http, on_stage.url, 2)
    assert on_stage.connections == 2


def test_close_and_go_on(stage: Callable[[Play], Stage]) -> None:
    on_stage = stage(staying)
    http = client_for("127.0.0.1")
    calls(http, on_stage.url, 1)
    http.close()
    calls(http, on_stage.url, 1)
    assert on_stage.connections == 2


def test_many_threads(server: Recorder) -> None:
    """Nobody gets another one's answer."""
    server.answer(lambda request: request.parameters)
    http = client_for("127.0.0.1")
    wrong: list[Any] = []

    def work(number: int) -> None:
        for turn in range(5):
            value = f"{number}-{turn}"
            answer = http.call("send", "POST", f"{server.url}/echo", form={"value": value})
            if answer.data != {"value": [value]}:
                wrong.append((value, answer.data))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(server.requests) == 320


def test_closed_in_mid_call(stage: Callable[[Play], Stage]) -> None:
    """Another thread closes the client between choosing a pool and taking a connection."""
    on_stage = stage(staying)
    http = client_for("127.0.0.1")
    pool = http._route(on_stage.url).pool
    http.close()
    conn = pool.take()
    assert conn.sock is None
    pool.give_back(conn)
    calls(http, on_stage.url, 1)


def test_calls_of_one_thread_can_share_their_time(stage: Callable[[Play], Stage]) -> None:
    on_stage = stage(staying)
    http = client_for("127.0.0.1")
    calls(http, on_stage.url, 1)
    with http.within(0):
        failure = failing(http, on_stage.url).failure
    assert (failure.verdict, failure.retry) == (Verdict.NEVER_LEFT, True)
    calls(http, on_stage.url, 1)


def test_calls_are_counted_by_thread(stage: Callable[[Play], Stage]) -> None:
    http = client_for("127.0.0.1")
    url = stage(staying).url
    thread = threading.Thread(target=calls, args=(http, url, 3))
    thread.start()
    thread.join()
    assert http.calls_by_this_thread == 0
    calls(http, url, 2)
    assert http.calls_by_this_thread == 2


def test_many_addresses_do_not_pile_up(
    stage: Callable[[Play], Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "_ROUTES", 3)
    http = client_for("127.0.0.1")
    url = stage(staying).url
    for number in range(8):
        calls(http, f"{url}/{number}", 1)
    assert len(http._routes) <= 3
