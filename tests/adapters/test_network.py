"""Where calls may go, which connections serve again, and what no call gives away."""

from __future__ import annotations

import ipaddress
import logging
import socket
import ssl
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from messaging.adapters import network
from messaging.adapters.http import TransportError
from messaging.adapters.network import AddressPolicy, is_public
from messaging.errors import ErrorClass, Scope, Verdict

from .recorder import Recorder
from .stage import (
    CANARY,
    JSON,
    OK,
    Play,
    Stage,
    answering,
    client_for,
    failing,
    free_port,
    hasty_client,
    take_request,
)

PUBLIC, INSIDE = "93.184.216.34", "10.0.0.7"

# --- Addresses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808",
     "2002:808:808::1"],
)  # fmt: skip
def test_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
     "100.64.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.255", "240.0.0.1",
     "255.255.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1",
     "203.0.113.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd12::1",
     "ff02::1", "100::1", "2001:db8::1", "2001::1", "3fff::1", "5f00::1", "64:ff9b:1::1",
     "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1",
     "2002:7f00:1::", "2002:a00:1::1"],
)  # fmt: skip
def test_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("allowed", "host", "port", "listed"),
    [
        (["127.0.0.1"], "127.0.0.1", 80, True),
        (["127.0.0.0/8"], "127.9.9.9", 80, True),
        (["127.0.0.1"], "127.0.0.2", 80, False),
        (["127.0.0.1"], "[::ffff:127.0.0.1]", 80, True),
        (["[::1]"], "::1", 80, True),
        (["::1"], "[::1]", 80, True),
        (["[::1]:81"], "[::1]", 81, True),
        (["[::1]:81"], "[::1]", 82, False),
        ([" Gateway.LAN "], "gateway.lan.", 80, True),
        (["gateway.lan:8080"], "gateway.lan", 8080, True),
        (["gateway.lan:8080"], "gateway.lan", 80, False),
        (["gateway.lan"], "evil.gateway.lan", 80, False),
        (["127.0.0.1:8080"], "127.0.0.1", 8080, True),
        (["127.0.0.1:8080"], "127.0.0.1", 80, False),
        ([""], "", 80, True),
        ([], "gateway.lan", 80, False),
    ],
)
def test_lists(allowed: list[str], host: str, port: int, listed: bool) -> None:
    assert AddressPolicy(allowed).lists(host, port) is listed


class Resolver:
    """Answers look-ups one after another and notes which addresses are then connected to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.connected: list[Any] = []
        resolver = self

        class Socket(socket.socket):
            def connect(self, address: Any) -> None:
                resolver.connected.append(address[0])
                raise ConnectionRefusedError

        monkeypatch.setattr(socket, "getaddrinfo", self.resolve)
        monkeypatch.setattr(network.socket, "socket", Socket)

    def resolve(self, host: str, port: int, *rest: Any) -> list[Any]:
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port, 0, 0) if ":" in address else (address, port),
            )
            for address in answer
        ]


@pytest.mark.parametrize(
    "answer",
    [[INSIDE], ["127.0.0.1"], ["169.254.169.254"], [PUBLIC, INSIDE], [INSIDE, PUBLIC],
     [PUBLIC, "::1"], ["::ffff:10.0.0.7"], ["64:ff9b::a9fe:a9fe"], ["0.0.0.0"]],
)  # fmt: skip
def test_a_private_record_opens_no_socket(
    monkeypatch: pytest.MonkeyPatch, answer: list[str]
) -> None:
    resolver = Resolver(monkeypatch, answer)
    error = failing(client_for(), f"https://gateway.example/?token={CANARY}")
    assert resolver.connected == []
    blocked(error, "private_address")


def blocked(error: TransportError, code: str) -> None:
    failure = error.failure
    assert (failure.verdict, failure.error_class) == (
        Verdict.NEVER_LEFT,
        ErrorClass.CONFIGURATION,
    )
    assert (failure.code, failure.scope, failure.retry) == (code, Scope.LANE, False)


def test_rebinding_finds_no_second_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(monkeypatch, [PUBLIC], ["127.0.0.1"])
    failing(client_for("10.0.0.0/8"), "https://gateway.example/")
    assert resolver.asked == ["gateway.example"]
    assert resolver.connected == [PUBLIC]
    error = failing(client_for("10.0.0.0/8"), "https://gateway.example/")
    assert resolver.connected == [PUBLIC]
    blocked(error, "private_address")


def test_every_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(monkeypatch, [PUBLIC, "2606:4700::1111", "8.8.8.8"])
    error = failing(client_for(), "https://gateway.example/")
    assert resolver.connected == [PUBLIC, "2606:4700::1111", "8.8.8.8"]
    assert error.failure.code == "unreachable"


@pytest.mark.parametrize("entry", ["gateway.example", "gateway.example:443", INSIDE, "10.0.0.0/8"])
def test_listed_hosts_may_be_private(monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    resolver = Resolver(monkeypatch, [INSIDE])
    failing(client_for(entry), "https://gateway.example/")
    assert resolver.connected == [INSIDE]


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "017700000001", "localhost"])
def test_spellings_of_loopback(host: str) -> None:
    blocked(failing(client_for(), f"https://{host}/"), "private_address")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://gateway.example/", "plain_http"),
        ("http://10.0.0.7/", "plain_http"),
        ("ftp://gateway.example/", "bad_address"),
        ("file:///etc/passwd", "bad_address"),
        ("gateway.example/api", "bad_address"),
        ("//gateway.example/api", "bad_address"),
        (f"https://user:{CANARY}@gateway.example/", "bad_address"),
        ("https://", "bad_address"),
        ("https://gateway.example:port/", "bad_address"),
        ("https://exa mple/", "bad_address"),
        ("", "bad_address"),
    ],
)
def test_addresses_that_are_not_called(
    monkeypatch: pytest.MonkeyPatch, url: str, code: str
) -> None:
    resolver = Resolver(monkeypatch, [PUBLIC])
    error = failing(client_for("10.9.9.9"), url)
    blocked(error, code)
    assert (resolver.asked, resolver.connected) == ([], [])
    assert CANARY not in error.call.url


def test_redirects_are_not_followed(server: Recorder) -> None:
    server.answer({}, 302, {"Location": f"{server.url}/elsewhere"})
    answer = client_for("127.0.0.1").call("send", "POST", f"{server.url}/api/sendText")
    assert answer.status == 302
    assert [request.path for request in server.requests] == ["/api/sendText"]


def test_the_environments_proxy_is_ignored(
    server: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    assert client_for("127.0.0.1").call("read", "GET", server.url).status == 200


def test_no_cookies(server: Recorder) -> None:
    server.answer({}, 200, {"Set-Cookie": "session=1; Path=/"})
    http = client_for("127.0.0.1")
    for _ in range(2):
        http.call("read", "GET", server.url)
    assert "Cookie" not in server.requests[1].headers


# --- TLS ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of gateway.example, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway.example")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("gateway.example")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "gateway.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


def over_tls(certificate: Path, play: Play) -> Play:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def wrapped(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            play(secure)

    return wrapped


def to_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest: real("127.0.0.1", *rest))


def test_tls(
    stage: Callable[[Play], Stage], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_loopback(monkeypatch)

    def play(connection: socket.socket) -> None:
        while True:
            take_request(connection)
            connection.sendall(OK + JSON)

    on_stage = stage(over_tls(certificate, play))
    http = client_for("127.0.0.1", verify=str(certificate))
    for _ in range(3):
        answer = http.call("send", "POST", f"https://gateway.example:{on_stage.port}/", form={})
        assert answer.data == {"answer": 42}
    assert on_stage.connections == 1
    http.close()


@pytest.mark.parametrize(
    ("host", "trusted"), [("gateway.example", False), ("other.example", True), ("127.0.0.1", True)]
)
def test_certificates_are_verified(
    stage: Callable[[Play], Stage],
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    trusted: bool,
) -> None:
    to_loopback(monkeypatch)
    seen: list[bytes] = []
    port = stage(over_tls(certificate, lambda conn: seen.append(conn.recv(9)))).port
    http = client_for("127.0.0.1", verify=str(certificate) if trusted else True)
    failure = failing(http, f"https://{host}:{port}/").failure
    assert (failure.verdict, failure.code) == (Verdict.NEVER_LEFT, "tls")
    assert seen == []


def test_dripping_over_tls_ends_at_the_deadline(
    stage: Callable[[Play], Stage], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_loopback(monkeypatch)

    def play(connection: socket.socket) -> None:
        take_request(connection)
        while True:
            connection.sendall(b"H")
            time.sleep(0.05)

    port = stage(over_tls(certificate, play)).port
    http = hasty_client(verify=str(certificate))
    error = failing(http, f"https://gateway.example:{port}/")
    assert (error.failure.verdict, error.failure.code) == (Verdict.MAYBE_SENT, "deadline")
    assert error.call.duration < 3


# --- Secrets ------------------------------------------------------------------------------------


def refused_port(stage: Callable[[Play], Stage]) -> str:
    return f"http://127.0.0.1:{free_port()}/api/send"


def everything(error: TransportError) -> str:
    chain = [error.__cause__, error.__context__]
    assert chain == [None, None]
    shown = "".join(traceback.format_exception(error))
    return f"{shown} {error!r} {error.args} {vars(error)!r}"


@pytest.mark.parametrize(
    "url",
    [
        refused_port,
        lambda stage: stage(answering()).url,
        lambda stage: stage(answering(b"SSH-2.0\r\n")).url,
        lambda stage: stage(answering(OK + b"half")).url,
        lambda stage: stage(answering(b"HTTP/1.1 200 OK\r\n: odd\r\nbad header\r\n\r\nx")).url,
        lambda stage: stage(take_request).url.replace("http:", "https:"),
        lambda stage: f"https://gateway.invalid:{free_port()}/",
        lambda stage: "https://127.0.0.2/",
        lambda stage: "nonsense",
    ],
)
def test_no_secret_anywhere(
    stage: Callable[[Play], Stage], caplog: pytest.LogCaptureFixture, url: Callable[..., str]
) -> None:
    caplog.set_level(logging.DEBUG)
    pairs = {"token": CANARY}
    try:
        answer = hasty_client().call(
            "send",
            "POST",
            f"{url(stage)}?token={CANARY}",
            params=pairs,
            form=pairs,
            headers={"Authorization": f"Bearer {CANARY}"},
        )
        text = repr(answer.call)
    except TransportError as error:
        text = everything(error)
    assert CANARY not in text
    assert CANARY not in caplog.text
