"""What passes between the server, a gateway and the fault table for one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from .wire import JSON_TYPE, Reply, Request

if TYPE_CHECKING:
    from .accounts import Account
    from .faults import Fault


class Call:
    """A request as its gateway understood it, before anything was decided."""

    __slots__ = (
        "account",
        "content",
        "data",
        "fault",
        "fetch",
        "gateway",
        "operation",
        "phones",
        "refusal",
        "request",
        "text",
    )

    def __init__(self, gateway: str, operation: str, request: Request) -> None:
        self.gateway = gateway
        self.operation = operation
        self.request = request
        self.account: Account | None = None
        self.phones: tuple[str, ...] = ()
        self.text = ""
        self.content: Any = None
        """What the arrivals list shows beside phones and text; never a credential."""
        self.data: Any = None
        """The gateway's own reading of the request."""
        self.refusal: Any = None
        """Settled while reading: an answer that no further work can change."""
        self.fetch = ""
        """A link on loopback that is to be fetched before the gateway answers."""
        self.fault: Fault | None = None


class Outcome(Reply):
    """A reply with what the arrivals list says about it."""

    __slots__ = ("accepted", "code", "ids")

    def __init__(
        self,
        status: int = 200,
        body: bytes = b"",
        code: str = "",
        ids: tuple[str, ...] = (),
        content_type: str = JSON_TYPE,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(status, body, content_type, headers)
        self.code = code
        self.ids = ids
        self.accepted = len(ids)


class Gateway(Protocol):
    """What each of the three systems provides to the application."""

    slug: str

    def route(self, path: str) -> str | None:
        """The operation behind a path, None when it is not this system's."""

    def read(self, operation: str, request: Request) -> Call:
        """Understand a request without changing anything but the pace counters."""

    def answer(self, call: Call) -> Outcome:
        """Do what was asked, with every rule of the document, and answer."""

    def refuse(self, call: Call, fault: Fault) -> Outcome:
        """The answer with the documented error code the fault names."""

    def knows_code(self, code: str) -> bool:
        """Whether the document has this error code."""

    def without_id(self, call: Call, outcome: Outcome, fault: Fault) -> bytes:
        """The success body of `outcome` with its ids taken out."""

    def wrong_types(self) -> bytes:
        """Valid JSON with the document's keys and values of the wrong type."""
