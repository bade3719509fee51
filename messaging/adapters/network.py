"""Where a call may go, and the connections that keep to it.

A gateway's address is typed by people and may be pointed at the inside of our own network. So a
connection resolves the name once, judges every address that came back, and connects to one it has
judged: there is no second look-up a hostile name server could answer differently.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import ssl
import sys
import time
from collections.abc import Iterable
from typing import Any, Final, cast

from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.connection import allowed_gai_family, is_connection_dropped
from urllib3.util.ssl_ import create_urllib3_context

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Seconds a kept connection may rest. Servers close idle ones after five or more; a request that
#: crosses their farewell on the way cannot be told from one that was taken.
IDLE_LIMIT: Final = 4.0
#: Addresses of one name that are tried before giving up.
_TRIES: Final = 4

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Not public, whatever the running Python's tables say: 6to4 relays, documentation.
_NOT_PUBLIC_4 = ipaddress.IPv4Network("192.88.99.0/24")
_NOT_PUBLIC_6 = ipaddress.IPv6Network("3fff::/20")


class BlockedAddressError(Exception):
    """The policy forbids this address. Raised before a socket is opened."""


def is_public(address: Address) -> bool:
    """True for an address of the open internet. Addresses that wrap an IPv4 one are unwrapped."""
    if isinstance(address, ipaddress.IPv4Address):
        return (
            address.is_global
            and not address.is_multicast
            and not address.is_reserved
            and address not in _NOT_PUBLIC_4
        )
    inner = address.ipv4_mapped or address.sixtofour
    if address in _NAT64:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if inner is not None:
        return is_public(inner)
    return address in _GLOBAL_UNICAST and address.is_global and address not in _NOT_PUBLIC_6


class AddressPolicy:
    """Which hosts may be called although they are private, or speak plain http.

    `allowed` holds host names, `host:port` pairs, IP addresses and networks in CIDR form.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._names: set[str] = set()
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for entry in allowed:
            text = entry.strip().lower()
            try:
                self._networks.append(ipaddress.ip_network(text.strip("[]"), strict=False))
            except ValueError:
                self._names.add(text.rstrip("."))

    def lists(self, host: str, port: int) -> bool:
        """True where this host itself is listed, by name or as an address."""
        name = host.lower().strip("[]").rstrip(".")
        if name in self._names or f"{name}:{port}" in self._names:
            return True
        if f"[{name}]:{port}" in self._names:
            return True
        try:
            return self._lists_address(ipaddress.ip_address(name))
        except ValueError:
            return False

    def resolve(self, host: str, port: int) -> list[tuple[socket.AddressFamily, Any]]:
        """Families and socket addresses to connect to, in the resolver's order.

        Raises BlockedAddressError if any record is neither public nor listed (a name with one
        public and one private record is an attack or a mistake), and socket.gaierror.
        """
        name, family = host.strip("[]"), allowed_gai_family()
        found = socket.getaddrinfo(name, port, family, socket.SOCK_STREAM)
        if not self.lists(host, port):
            for record in found:
                address = ipaddress.ip_address(record[4][0])
                if not is_public(address) and not self._lists_address(address):
                    raise BlockedAddressError
        return [(record[0], record[4]) for record in found]

    def _lists_address(self, address: Address) -> bool:
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        return any(address in network for network in self._networks)


class GuardedConnection(HTTPConnection):
    """A connection that opens its socket by our policy, and knows how long it has rested."""

    policy: AddressPolicy = AddressPolicy()
    rested_since: float = 0.0

    def _new_conn(self) -> socket.socket:
        timeout = cast(float, self.timeout)
        deadline = time.monotonic() + timeout
        addresses = self.policy.resolve(self._dns_host, self.port)[:_TRIES]
        trouble: OSError = OSError("no address")
        for index, (family, address) in enumerate(addresses):
            # Share what is left, so that one dead address does not use up the time of the others.
            share = (deadline - time.monotonic()) / (len(addresses) - index)
            if share <= 0:
                trouble = TimeoutError()
                break
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(share)
                sock.connect(address)
                sock.settimeout(timeout)  # a TLS handshake follows, with the same allowance
            except OSError as error:
                sock.close()
                trouble = error
            else:
                sys.audit("http.client.connect", self, self.host, self.port)
                return sock
        raise trouble


class GuardedTlsConnection(GuardedConnection, HTTPSConnection):
    pass


class Pool(HTTPConnectionPool):
    """Kept connections to one host. `take` and `give_back` may be called from any thread."""

    ConnectionCls = GuardedConnection
    policy: AddressPolicy = AddressPolicy()

    def take(self) -> GuardedConnection:
        """A connection, open and fresh where there is one, else one yet to be connected."""
        try:
            conn = cast(GuardedConnection | None, cast(Any, self.pool).get(block=False))
        except (queue.Empty, AttributeError):  # none left, or closed by another thread
            conn = None
        if conn is None:
            conn = cast(GuardedConnection, self._new_conn())
            conn.policy = self.policy
        elif conn.sock is not None and (
            time.monotonic() - conn.rested_since > IDLE_LIMIT or is_connection_dropped(conn)
        ):
            conn.close()
        return conn

    def give_back(self, conn: GuardedConnection) -> None:
        """Keep the connection for the next call; a closed one is opened anew by then."""
        conn.rested_since = time.monotonic()
        self._put_conn(conn)


class TlsPool(Pool, HTTPSConnectionPool):
    ConnectionCls = GuardedTlsConnection


class Pools(HTTPAdapter):
    """requests' own transport adapter, with pools and connections that keep to the policy.

    `verify` is True (certifi's list), False, or the path of a CA file or directory. `size` is the
    number of connections kept per host.
    """

    def __init__(self, policy: AddressPolicy, *, verify: bool | str, size: int) -> None:
        self._policy = policy
        self._verify = verify
        super().__init__(pool_connections=1024, pool_maxsize=size, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": Pool, "https": TlsPool}

    def pool(self, scheme: str, host: str, port: int) -> Pool:
        """The pool of one host; made on first use."""
        if scheme == "https" and "ssl_context" not in self.poolmanager.connection_pool_kw:
            # One context for all connections: reading the CA list costs more than the handshake.
            self.poolmanager.connection_pool_kw["ssl_context"] = _tls_context(self._verify)
        pool = cast(Pool, self.poolmanager.connection_from_host(host, port, scheme))
        pool.policy = self._policy
        return pool


def _tls_context(verify: bool | str) -> ssl.SSLContext:
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if verify else ssl.CERT_NONE)
    if verify:
        source = DEFAULT_CA_BUNDLE_PATH if verify is True else verify
        try:
            context.load_verify_locations(cafile=source)
        except OSError:
            context.load_verify_locations(capath=source)
    return context
