"""The loopback server: one asyncio process, keep-alive, pipelining-safe, and able to misbehave.

How a reply leaves is the reply's own `manner`: at once, dripped, hung, cut before a byte or in
the middle of the body. The gateways and the fault table decide it; this file only carries it out.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import cast

from .wire import BadRequestError, Reply, Request, RequestReader, json_reply, render

Handler = Callable[[Request], Reply | Awaitable[Reply]]

DRIP_TICK = 0.05


class Connection(asyncio.Protocol):
    """One client connection: reads requests, answers them in order."""

    def __init__(self, handle: Handler, peers: set[Connection]) -> None:
        self._handle = handle
        self._peers = peers
        self._reader = RequestReader()
        self._transport: asyncio.Transport | None = None
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._keep_alive = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio when a client connects."""
        self._transport = cast(asyncio.Transport, transport)
        self._peers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio when the connection has ended."""
        self._peers.discard(self)
        self._transport = None
        # A task goes on: a gateway finishes what it has read, whether anyone waits or not.
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio with bytes of any number of requests."""
        self._reader.feed(data)
        if not self._busy:
            self._pump()

    def abort(self) -> None:
        """Drop the connection without finishing anything."""
        if self._transport is not None:
            self._transport.abort()

    def _pump(self) -> None:
        while not self._busy and self._transport is not None:
            try:
                request = self._reader.next()
            except BadRequestError as error:
                self._keep_alive = False
                self._emit(json_reply({"error": str(error)}, error.status))
                return
            if request is None:
                if self._reader.wants_continue:
                    self._reader.wants_continue = False
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            self._keep_alive = request.keep_alive
            reply = self._handle(request)
            if isinstance(reply, Reply):
                self._dispatch(reply)
            else:
                self._busy = True
                self._task = asyncio.ensure_future(self._await(reply))

    async def _await(self, pending: Awaitable[Reply]) -> None:
        reply = await pending
        self._task = None
        self._busy = False
        self._dispatch(reply)
        if not self._busy:
            self._pump()

    def _dispatch(self, reply: Reply) -> None:
        if reply.delay:
            self._busy = True
            self._later(reply.delay, self._resume, reply)
        else:
            self._emit(reply)

    def _resume(self, reply: Reply) -> None:
        self._busy = False
        self._emit(reply)
        self._pump()

    def _later(self, delay: float, call: Callable[[Reply], None], reply: Reply) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay, call, reply)

    def _emit(self, reply: Reply) -> None:
        transport = self._transport
        if transport is None:
            return
        if reply.manner:
            self._misbehave(transport, reply)
            return
        transport.write(render(reply, self._keep_alive))
        if not self._keep_alive:
            self._busy = True
            transport.close()

    def _misbehave(self, transport: asyncio.Transport, reply: Reply) -> None:
        self._busy = True
        if reply.manner == "hang":
            return
        if reply.manner == "cut":
            _reset(transport)
            return
        data = render(reply, self._keep_alive)
        if reply.manner == "midbody":
            transport.write(data[: len(data) - max(1, len(reply.body) // 2)])
            transport.close()
            return
        self._drip(data, max(1, int(reply.speed * DRIP_TICK)), reply)

    def _drip(self, data: bytes, size: int, reply: Reply) -> None:
        if self._transport is None:
            return
        self._transport.write(data[:size])
        rest = data[size:]
        if rest:
            pause = size / reply.speed
            self._later(pause, lambda again: self._drip(rest, size, again), reply)
        elif self._keep_alive:
            self._busy = False
            self._pump()
        else:
            self._transport.close()


def _reset(transport: asyncio.Transport) -> None:
    # Linger 0 makes the kernel send RST instead of an orderly end.
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Server:
    """Listens on loopback and hands every request to `handle`."""

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self._peers: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Begin to listen; returns the port, which the system chose when 0 was asked for."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._handle, self._peers), host, port, backlog=1024
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and drop every connection, hung ones too."""
        if self._server is not None:
            self._server.close()
        for peer in list(self._peers):
            peer.abort()
        await asyncio.sleep(0)


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
