"""A recording server and a client that may reach it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from messaging.adapters.http import Http

from .recorder import Recorder
from .stage import CLIENTS, Play, Stage


@pytest.fixture
def server() -> Iterator[Recorder]:
    """A web server on loopback; see `recorder`."""
    with Recorder() as recorder:
        yield recorder


@pytest.fixture
def http() -> Iterator[Http]:
    """A client that may reach loopback."""
    client = Http(allowed_private_hosts=["127.0.0.1"], read_timeout=0.8)
    yield client
    client.close()


@pytest.fixture(autouse=True)
def clients_closed() -> Iterator[None]:
    yield
    for client in CLIENTS:
        client.close()
    CLIENTS.clear()


@pytest.fixture
def stage() -> Iterator[Callable[[Play], Stage]]:
    """Builds servers that misbehave; see `stage`."""
    stages: list[Stage] = []

    def build(play: Play) -> Stage:
        stages.append(Stage(play))
        return stages[-1]

    yield build
    for each in stages:
        each.close()
