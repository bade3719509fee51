"""The control API, the client for it, and the process around the sandbox."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests

import messaging.sandbox
from messaging.sandbox import Sandbox, SandboxClient, SandboxError
from messaging.sandbox.accounts import IS_SECRET_KEY, WH_TOKEN

from .conftest import OTHER, PHONE, IntelliSoftware, Intellixent, WhatsAppHttp

ROOT = Path(messaging.sandbox.__file__).resolve().parents[2]


def test_arrivals_say_everything(wh: WhatsAppHttp, control: SandboxClient) -> None:
    before, clock = time.time(), time.monotonic()
    message_id = wh("sendLocation", degreesLatitude="1", degreesLongitude="2", name="Shop").json()
    (arrival,) = control.arrivals()
    assert before <= arrival.pop("time") <= time.time()
    assert clock <= arrival.pop("monotonic") <= time.monotonic()
    assert arrival.pop("n") > 0
    assert arrival == {
        "method": "POST",
        "gateway": "whatsapp_http",
        "operation": "sendLocation",
        "account": "447700900100",
        "phones": [PHONE],
        "text": "Shop",
        "content": {"degreesLatitude": "1", "degreesLongitude": "2"},
        "status": 200,
        "code": "00",
        "accepted": 1,
        "ids": message_id["data"]["messageIds"],
        "fault": "",
    }


def test_arrivals_since_and_filters(
    wh: WhatsAppHttp, isoft: IntelliSoftware, control: SandboxClient
) -> None:
    wh.text()
    last = control.arrivals()[-1]["n"]
    wh("checkBal")
    isoft.text(to=f"{PHONE},{OTHER}")
    wh.text(phone=OTHER)
    operations = [item["operation"] for item in control.arrivals(since=last)]
    assert operations == ["checkBal", "sendmsg", "sendText"]
    assert len(control.arrivals(gateway="intellisoftware")) == 1
    assert len(control.arrivals(operation="send*")) == 3
    assert len(control.arrivals(phone=f"+{OTHER}")) == 2
    assert len(control.arrivals(account="447700900200")) == 1
    assert [item["n"] for item in control.arrivals(since=last, limit=1)] == [last + 1]
    assert control.arrivals(since=last + 100) == []


def test_deliveries_since_and_filters(
    wh: WhatsAppHttp, isoft: IntelliSoftware, control: SandboxClient
) -> None:
    wh.text()
    last = control.arrivals()[-1]["n"]
    isoft.text(to=f"{PHONE},{OTHER}")
    assert len(control.deliveries()) == 3
    assert [item["phone"] for item in control.deliveries(since=last)] == [PHONE, OTHER]
    assert len(control.deliveries(phone=f"+{PHONE}")) == 2
    assert len(control.deliveries(gateway="whatsapp_http", limit=1)) == 1
    delivery = control.deliveries(gateway="whatsapp_http")[0]
    assert (delivery["text"], delivery["arrival"]) == ("Hello", last)


def test_ids_of_arrivals_and_deliveries_agree(
    isoft: IntelliSoftware, control: SandboxClient
) -> None:
    isoft.text(to=f"{PHONE},{OTHER}")
    (arrival,) = control.arrivals()
    assert arrival["ids"] == [item["id"] for item in control.deliveries()]


def test_stats(wh: WhatsAppHttp, slow_ix: Intellixent, control: SandboxClient) -> None:
    wh.text()
    wh.text(token="x")
    slow_ix.send()
    stats = control.stats()
    assert (stats["arrivals"], stats["deliveries"], stats["dropped"]) == (3, 2, 0)
    assert stats["by_gateway"] == {"whatsapp_http": 2, "intellixent": 1}
    assert stats["by_operation"] == {"whatsapp_http.sendText": 2, "intellixent.send": 1}
    assert stats["by_outcome"]["whatsapp_http 401 invalid object id"] == 1
    assert stats["delivered_by_gateway"] == {"whatsapp_http": 1, "intellixent": 1}


def test_pace(wh: WhatsAppHttp, control: SandboxClient) -> None:
    assert control.pace() == {"count": 0, "most": 0, "seconds": 0.0, "per_second": 0.0}
    for _ in range(4):
        wh.text()
    pace = control.pace(window=5)
    assert (pace["count"], pace["most"]) == (4, 4)
    assert pace["per_second"] > 4
    assert control.pace(window=0.000001)["most"] == 1


def test_reset_forgets_everything(wh: WhatsAppHttp, control: SandboxClient) -> None:
    control.account("whatsapp_http", quota=1, connected=False)
    control.account("whatsapp_http", token="d" * 24)
    control.fault("empty")
    control.settings(delivered_after=99)
    control.advance(1000)
    wh.text()
    first_id = control.arrivals()[-1]["n"]
    control.reset()
    assert (control.arrivals(), control.deliveries(), control.faults()) == ([], [], [])
    assert control.settings()["delivered_after"] == 2.0
    (account,) = control.accounts()["whatsapp_http"]
    assert (account["quota"], account["connected"], account["usage"]) == (5_000_000, True, 0)
    assert wh.text().json()["data"]["connStatus"] is True
    assert control.arrivals()[0]["n"] > first_id


def test_accounts(wh: WhatsAppHttp, control: SandboxClient) -> None:
    second = control.account("whatsapp_http", token="e" * 24, number="447700900101", quota=7)
    assert second["name"] == "447700900101"
    third = control.account("whatsapp_http", token="f" * 24, number="447700900101")
    assert third["name"] == "447700900101-2"
    assert len(control.accounts()["whatsapp_http"]) == 3
    answer = wh("checkBal", token="e" * 24).json()
    assert answer["data"]["quota"] == 7
    changed = control.account("whatsapp_http", unregistered=[OTHER, PHONE])
    assert changed["token"] == WH_TOKEN
    assert changed["unregistered"] == [PHONE, OTHER]


@pytest.mark.parametrize(
    ("gateway", "options"),
    [
        ("telegram", {}),
        ("whatsapp_http", {"colour": "green"}),
        ("whatsapp_http", {"connected": "no"}),
        ("whatsapp_http", {"quota": True}),
        ("whatsapp_http", {"report_order": 5}),
        ("intellixent", {"sessions": {}}),
    ],
)
def test_senseless_accounts_are_refused(
    control: SandboxClient, gateway: str, options: dict[str, Any]
) -> None:
    with pytest.raises(SandboxError):
        control.account(gateway, **options)


def test_set_status_by_choice(
    wh: WhatsAppHttp, isoft: IntelliSoftware, control: SandboxClient
) -> None:
    wh.text()
    isoft.text(to=f"{PHONE},{OTHER}")
    assert control.set_status("read", phone=f"+{PHONE}") == 2
    assert control.set_status("failed", gateway="intellisoftware") == 2
    assert control.set_status("sent", all=True) == 3
    assert {item["status"] for item in control.messages()} == {"sent"}
    at = time.time() - 50
    control.set_status("delivered", all=True, at=at)
    assert {item["delivered"] for item in control.messages()} == {at}


@pytest.mark.parametrize("options", [{}, {"id": "x", "status": "lost"}])
def test_set_status_needs_a_choice_and_a_status(
    control: SandboxClient, options: dict[str, Any]
) -> None:
    with pytest.raises(SandboxError):
        control.set_status(options.pop("status", "read"), **options)


def test_added_messages_need_an_account(control: SandboxClient) -> None:
    with pytest.raises(SandboxError):
        control.message(PHONE, token="unknown")
    added = control.message(PHONE, text="From the panel", status="delivered", age=100)
    assert added["status"] == "delivered"
    assert added["delivered"] == pytest.approx(time.time() - 100, abs=5)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "nothing", None),
        ("PUT", "reset", None),
        ("POST", "faults", b"not json"),
        ("POST", "faults", b"[]"),
        ("POST", "clock", b"{}"),
        ("POST", "settings", b'{"colour": 1}'),
        ("POST", "settings", b'{"read_after": "soon"}'),
        ("POST", "sessions", b'{"phone": "1", "api_key": "x"}'),
        ("GET", "arrivals?since=x", None),
        ("GET", "arrivals?x=%ff", None),
    ],
)
def test_senseless_calls_are_refused_in_words(
    sandbox: Sandbox, http: requests.Session, method: str, path: str, body: bytes | None
) -> None:
    response = http.request(method, f"{sandbox.url}/_sandbox/{path}", data=body, timeout=10)
    assert response.status_code in (400, 404)
    assert response.json()["error"]


def test_old_arrivals_leave(control: SandboxClient, wh: WhatsAppHttp) -> None:
    control.settings(keep=20)
    for number in range(25):
        wh.text(str(number))
    assert [item["text"] for item in control.arrivals()][-1] == "24"
    assert len(control.arrivals()) <= 20
    assert len(control.deliveries()) <= 20
    assert control.stats()["dropped"] > 0
    last = control.arrivals()[-1]["n"]
    assert [item["n"] for item in control.arrivals(since=last - 2)] == [last - 1, last]


def test_many_connections_at_once(sandbox: Sandbox, control: SandboxClient) -> None:
    def work(number: int) -> None:
        with requests.Session() as session:
            session.trust_env = False
            gateway = WhatsAppHttp(sandbox.url, session)
            for _ in range(20):
                gateway.text(phone=str(447700900000 + number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    deliveries = control.deliveries()
    assert len({item["id"] for item in deliveries}) == 160
    numbers = [item["n"] for item in control.arrivals()]
    assert numbers == list(range(numbers[0], numbers[0] + 160))


# The process


def _start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "messaging.sandbox", "--port", "0", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_announces_itself_and_stops_cleanly(tmp_path: Path, signal_number: int) -> None:
    announce = tmp_path / "url"
    process = _start("--announce", str(announce), "--delivered-after", "-1")
    with process:
        line = process.stdout.readline() if process.stdout else ""
        url = announce.read_text().strip()
        assert line == f"sandbox listening on {url}\n"
        assert url.startswith("http://127.0.0.1:")
        client = SandboxClient(url)
        assert client.health() == {"ok": True, "pid": process.pid}
        assert client.settings()["delivered_after"] is None
        # A hung connection must not hold up the end.
        client.fault("hang_before")
        with pytest.raises(requests.ReadTimeout):
            requests.get(f"{url}/api/checkBal", timeout=0.05)
        process.send_signal(signal_number)
        assert process.wait(5) == 0


def test_refuses_other_addresses() -> None:
    process = _start("--host", "0.0.0.0", stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (2, "")
    assert "loopback" in err


def test_ends_with_the_process_that_started_it() -> None:
    process = _start("--until-eof", stdin=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert "listening" in process.stdout.readline()
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(5) == 0


def test_sandbox_stops_by_pid() -> None:
    with Sandbox("--sent-after", "5") as sandbox:
        pid = sandbox.pid
        assert sandbox.control.health()["pid"] == pid
        assert sandbox.control.settings()["sent_after"] == 5.0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(RuntimeError):
        _ = sandbox.pid


def test_a_sandbox_that_does_not_start_says_so() -> None:
    with pytest.raises(RuntimeError, match="did not start"):
        Sandbox("--host", "192.0.2.1").start()


def test_it_imports_nothing_else_of_ours_and_no_django() -> None:
    code = (
        "import sys, messaging.sandbox, messaging.sandbox.__init__\n"
        "ours = [m for m in sys.modules if m.startswith('messaging.')"
        " and not m.startswith('messaging.sandbox')]\n"
        "assert not ours, ours\n"
        "assert not [m for m in sys.modules if m.split('.')[0] in ('django', 'requests')]\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_default_secret_is_as_awkward_as_the_documents() -> None:
    assert set("`{$%^") & set(IS_SECRET_KEY) >= set("`{$^")
