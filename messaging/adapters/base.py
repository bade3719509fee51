"""What an adapter is, and the frozen values that cross its border.

An adapter only translates: content into a gateway's request, a gateway's answer into results. It
never saves, schedules or decides what happens next, imports no Django and receives credentials
and network policy as arguments. Optional operations are declared by overriding them: see
`Adapter.supports`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Final, NoReturn

from ..content import Content
from ..errors import Failure
from ..events import EMPTY, Inbound, Status, StatusUpdate

if TYPE_CHECKING:
    from .http import Http

WHATSAPP: Final = "whatsapp"
SMS: Final = "sms"

#: What providers may be set to; the words are stored.
INBOUND_ONLY: Final = "inbound_only"
INBOUND_OR_TEMPLATE: Final = "inbound_or_template"
NO_WINDOW: Final = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialField:
    """One credential, as the admin's form asks for it. Values are always strings."""

    name: str
    label: str
    help: str = ""
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionField:
    """One setting only this adapter has. `choices` are (value, label) pairs; none = free text."""

    name: str
    label: str
    default: str = ""
    help: str = ""
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Everything an adapter knows of the provider and sender it speaks for.

    `credentials` merges the provider's and the sender's. `address` is the sender's own number
    (`+E164`) or name; `external_id` the gateway's id of it. `instance_id` is the secret id by
    which the gateway's reports name the sender, as learnt from an answer; empty where it is not.
    """

    base_url: str
    credentials: Mapping[str, str] = field(default_factory=lambda: EMPTY, repr=False)
    options: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    channel: str = WHATSAPP
    name: str = ""
    address: str = ""
    external_id: str = ""
    instance_id: str = field(default="", repr=False)
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where a message goes. `address` is canonical: `+E164`, `…@g.us` or `…@lid`."""

    address: str
    name: str = ""

    @property
    def digits(self) -> str:
        """The number with country code and without `+`; other ids unchanged."""
        return self.address.removeprefix("+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file to hand over. `size` is in bytes; `open` gives a fresh binary stream each time."""

    filename: str
    content_type: str
    size: int
    open: Callable[[], BinaryIO]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbound:
    """One call's worth of work: a content for one or more recipients.

    The content's media has a `link`, or `upload` carries its bytes.
    """

    content: Content
    recipients: tuple[Recipient, ...]
    upload: Upload | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """A call that went out, as it may be stored and shown: redacted while it was built.

    `duration` is in seconds. `status_code` is 0 where no answer came; `error` then says why.
    """

    operation: str
    method: str
    url: str
    request: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    status_code: int = 0
    response: Any = None
    error: str = ""
    duration: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SendResult:
    """What became of one recipient: a status with an id, or a failure."""

    status: Status | None = None
    external_id: str = ""
    external_data: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    failure: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOutcome:
    """What a send brought: one result per recipient, in the order given, and the calls made.

    `connected` is what the answer says of the sender's phone, None where it says nothing.
    """

    results: tuple[SendResult, ...]
    calls: tuple[CallRecord, ...] = ()
    connected: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What an adapter thinks of a content: refusals stop it, warnings are shown. In words."""

    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """`amount` in the gateway's own unit (credits or money); None where it says nothing."""

    amount: str | None = None
    expires_at: datetime | None = None
    used_today: int | None = None
    raw: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    call: CallRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Whether a paired phone is connected. `details` is redacted, for showing.

    While it is not, `code` is the picture to scan, as the bytes of a PNG file; whoever sees it
    can take over the account. `webhook` is the address the gateway says it posts to, which may
    hold our own secret; `instance_id` the secret id its reports name this phone by.
    """

    connected: bool
    name: str = ""
    address: str = ""
    platform: str = ""
    battery: int | None = None
    balance: Balance | None = None
    code: bytes = field(default=b"", repr=False)
    webhook: str = field(default="", repr=False)
    instance_id: str = field(default="", repr=False)
    details: Mapping[str, Any] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderInfo:
    """A sender as the gateway lists it. `online` is None where it does not say."""

    external_id: str
    address: str = ""
    name: str = ""
    online: bool | None = None
    details: Mapping[str, Any] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateInfo:
    """A template as the gateway lists it; `status` in our words (approved, pending, …)."""

    external_id: str
    name: str
    language: str = ""
    category: str = ""
    status: str = ""
    body: str = ""
    variables: tuple[str, ...] = ()
    raw_status: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactInfo:
    """A person in the address book of a paired phone."""

    address: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupInfo:
    """A WhatsApp group: `address` is `…@g.us`, `members` are canonical addresses."""

    address: str
    name: str = ""
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxPage:
    """Inbound messages as a report gives them.

    `cursor` is what `fetch_inbox_after` takes to go on behind them, empty where there were none.
    `complete` is False where the gateway says that there are more.
    """

    events: tuple[Inbound, ...] = ()
    cursor: str = ""
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookFile:
    """A file that came in a webhook's form field; `key` is that of the Attachment it is kept as.

    `content_type` and `filename` are a stranger's claims.
    """

    field: str
    key: str
    filename: str = ""
    content_type: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRequest:
    """A request that came to our webhook: `body` as text, or a multipart form's parts.

    `body` is decoded as UTF-8, what is none is replaced. `fields` are the parts of a multipart
    form only: a urlencoded form is still in `body`.
    """

    content_type: str = ""
    body: str = ""
    fields: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    files: tuple[WebhookFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What a webhook said. `problems` are sentences for staff, one per item not read."""

    events: tuple[Inbound | StatusUpdate, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatus:
    """A gateway's word on the reply window. It informs and may extend; it never closes."""

    is_open: bool
    expires_at: datetime | None = None
    last_inbound_at: datetime | None = None


class Adapter(ABC):
    """Code that speaks one gateway's protocol. One instance speaks for one account.

    The class attributes declare what the gateway is; the admin, the outbox and the checks read
    them, so a new gateway needs no change anywhere else.
    """

    slug: ClassVar[str]
    label: ClassVar[str]
    #: Where to find the credentials and what to paste where, for the provider's admin page.
    setup_help: ClassVar[str] = ""
    default_base_url: ClassVar[str] = ""
    provider_credentials: ClassVar[tuple[CredentialField, ...]] = ()
    sender_credentials: ClassVar[tuple[CredentialField, ...]] = ()
    options: ClassVar[tuple[OptionField, ...]] = ()
    channels: ClassVar[frozenset[str]] = frozenset({WHATSAPP})
    #: Kinds of content per channel; what is missing here is refused before a row exists.
    kinds: ClassVar[Mapping[str, frozenset[str]]]
    window_policy: ClassVar[str] = NO_WINDOW
    #: Most recipients one call may carry, and how many we put in unless told otherwise.
    max_recipients: ClassVar[int] = 1
    default_recipients: ClassVar[int] = 1
    #: Calls per second the gateway allows to one set of credentials; None = no documented limit.
    rate: ClassVar[float | None] = None
    #: True where the gateway takes a file itself; else uploads leave as signed links.
    takes_uploads: ClassVar[bool] = False
    #: True where senders are phones that must be paired by QR code.
    needs_pairing: ClassVar[bool] = False
    #: What to paste where, so that the gateway posts to our webhook; "" where it cannot.
    webhook_help: ClassVar[str] = ""
    #: Names (in lower case) whose values are masked wherever a webhook's body is shown.
    secret_names: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, account: Account, http: Http) -> None:
        self.account = account
        self.http = http

    def validate(self, content: Content) -> Validation:
        """This gateway's own limits. The generic rules are `content.problems()`."""
        return Validation()

    @classmethod
    def upload_refusal(cls, content: Content, upload: Upload) -> str:
        """Why this uploaded file cannot go with this content, as a sentence, or ""."""
        return ""

    @abstractmethod
    def send(self, message: Outbound) -> SendOutcome:
        """Send once. Never raises for what a gateway or network does; never tries again."""

    # Optional operations: overriding one is declaring it. All raise GatewayError.

    def test(self) -> Balance:
        """Prove the credentials without sending anything. The balance, unless overridden."""
        return self.balance()

    def balance(self) -> Balance:
        self._undeclared()

    def connection(self) -> Connection:
        """Whether the sender's phone is connected; while it is not, the code to scan."""
        self._undeclared()

    def fetch_statuses(self, start: datetime, end: datetime) -> Sequence[StatusUpdate]:
        """The gateway's delivery report for the days from `start` to `end`, aware times."""
        self._undeclared()

    def fetch_status(self, external_id: str) -> StatusUpdate | None:
        """One message's state; None where the gateway does not know the id."""
        self._undeclared()

    def session_status(self, address: str) -> SessionStatus:
        """What the gateway says of the window with this customer."""
        self._undeclared()

    def parse_webhook(self, request: WebhookRequest) -> Parsed:
        """What a request to our webhook says. Never raises, whatever a stranger has posted.

        The adapter speaks for the provider: which of its senders a message is for is asked of
        each sender's adapter by `owns`.
        """
        self._undeclared()

    def owns(self, event: Inbound | StatusUpdate) -> bool:
        """Whether this message or report is of the sender this adapter speaks for.

        Only reports that say whose they are (`to`) are asked about.
        """
        return False

    def fetch_inbox(self, start: datetime, end: datetime) -> InboxPage:
        """What came in on the days from `start` to `end`, aware times, oldest first."""
        self._undeclared()

    def fetch_inbox_after(self, cursor: str) -> InboxPage:
        """What came in after the message of this cursor, oldest first."""
        self._undeclared()

    def fetch_contacts(self) -> Sequence[ContactInfo]:
        """The address book of the paired phone."""
        self._undeclared()

    def fetch_groups(self) -> Sequence[GroupInfo]:
        """The groups the paired phone is in."""
        self._undeclared()

    def fetch_senders(self) -> Sequence[SenderInfo]:
        self._undeclared()

    def fetch_templates(self) -> Sequence[TemplateInfo]:
        self._undeclared()

    @classmethod
    def supports(cls, operation: str) -> bool:
        """True where this adapter has the optional operation of that name."""
        return getattr(cls, operation) is not getattr(Adapter, operation)

    def _undeclared(self) -> NoReturn:
        raise NotImplementedError(f"{self.slug} declares no such operation; see supports()")
