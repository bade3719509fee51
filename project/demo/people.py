"""What the demo's clinic and shop and their customers have said to each other.

All numbers lie in the range Ofcom keeps free for fiction (+44 7700 900000 to 900999).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from messaging.content import Buttons, ContactCard, ContactCards, Content, Location, Media, Text

DAY: Final = 24 * 60

FRONT_DESK: Final = "whatsapp_http.whatsapp"
SHOP: Final = "intellisoftware.whatsapp"
SHOP_SMS: Final = "intellisoftware.sms"
APPOINTMENTS: Final = "intellixent.whatsapp"

NAMES: Final[Mapping[str, str]] = {
    "whatsapp_http": "Riverside Clinic phones",
    FRONT_DESK: "Clinic front desk",
    "intellisoftware": "Corner Shop, official",
    SHOP: "Corner Shop",
    SHOP_SMS: "Corner Shop SMS",
    "intellixent": "Riverside Clinic assistant",
    APPOINTMENTS: "Clinic appointments",
}


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    number: str
    tags: tuple[str, ...] = ()
    language: str = "en"
    notes: str = ""
    opted_out: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """One message: how many minutes ago, by whom, what, and what became of it."""

    ago: int
    content: Content | str
    status: str = "received"
    error: tuple[str, str, str] = ("", "", "")

    @property
    def inbound(self) -> bool:
        return self.status == "received"

    @property
    def value(self) -> Content:
        return Text(self.content) if isinstance(self.content, str) else self.content


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation, oldest message first."""

    sender: str
    person: str
    said: tuple[Said, ...]
    done: bool = False


PEOPLE: Final = (
    Person("Asha Rao", "+447700900411", ("patient",), notes="Prefers mornings."),
    Person("Ben Carter", "+447700900412", ("patient", "regular")),
    Person("Chloé Dubois", "+447700900413", ("customer",), "fr"),
    Person("Daniel Okafor", "+447700900414", ("patient",)),
    Person("Elif Yıldız", "+447700900415", ("customer", "regular")),
    Person("Farah Haddad", "+447700900416", ("customer",), "ar"),
    Person("Grace Murphy", "+447700900417", ("customer",), opted_out=True),
    Person("Hiro Tanaka", "+447700900418", ("patient",)),
    Person("Isla Fraser", "+447700900419", ("patient", "regular")),
    Person("Jamal Edwards", "+447700900420", ("customer",)),
    Person("Katya Petrova", "+447700900421", ("patient",)),
    Person("Liam O’Connor", "+447700900422", ("customer", "regular"), notes="Trade account."),
)

_NOT_REACHABLE = (
    "invalid_recipient",
    "04",
    "04-Phone number not registered on whatsapp or your instance not connected",
)
_NOT_KNOWN = ("ambiguous", "", "The connection broke before the gateway answered.")
_WINDOW = ("window_closed", "", "The reply window closed before the message could leave.")

TALKS: Final = (
    Talk(
        FRONT_DESK,
        "Asha Rao",
        (
            Said(2 * DAY, "Hello, can I move my appointment on Friday?"),
            Said(2 * DAY - 4, "Of course. Would Thursday at 10.30 suit you?", "read"),
            Said(2 * DAY - 9, "Yes, thank you!"),
            Said(2 * DAY - 11, Location(51.5079, -0.0877, "Riverside Clinic", "1 Quay"), "read"),
            Said(6, "Good morning. I am running ten minutes late, is that all right?"),
        ),
    ),
    Talk(
        FRONT_DESK,
        "Ben Carter",
        (
            Said(90, "Are my results in yet?"),
            Said(71, "They came this morning and all is well. The letter follows.", "delivered"),
            Said(
                70,
                Media("document", link="https://files.example/letter.pdf", filename="Letter.pdf"),
                "delivered",
            ),
        ),
    ),
    Talk(
        FRONT_DESK,
        "Daniel Okafor",
        (Said(DAY + 30, "Your prescription is ready to collect.", "failed", _NOT_REACHABLE),),
    ),
    Talk(
        FRONT_DESK,
        "Isla Fraser",
        (
            Said(5 * DAY, "Your check-up is due. Shall we book it?", "read"),
            Said(5 * DAY - 55, "Yes please, any day after four."),
            Said(
                5 * DAY - 60,
                Buttons("Which day suits you?", replies=("Tuesday", "Wednesday")),  # type: ignore[arg-type]
                "read",
            ),
            Said(5 * DAY - 62, "Tuesday"),
        ),
        done=True,
    ),
    Talk(
        FRONT_DESK,
        "Katya Petrova",
        (Said(35, "Please bring your insurance card tomorrow.", "sent"),),
    ),
    Talk(
        SHOP,
        "Elif Yıldız",
        (
            Said(3 * DAY, "Do you have the blue one in size 40?"),
            Said(3 * DAY - 15, "We do! I have put one aside for you.", "accepted"),
            Said(4, "Great, could you send me a picture of it?"),
        ),
    ),
    Talk(
        SHOP,
        "Jamal Edwards",
        (
            Said(26 * 60, "Is my order on its way?"),
            Said(25 * 60, "It left us this morning.", "unknown", _NOT_KNOWN),
        ),
    ),
    Talk(
        SHOP,
        "Farah Haddad",
        (
            Said(3 * DAY, "مرحبا، هل أنتم مفتوحون يوم السبت؟"),
            Said(3 * DAY - 20, "Yes, from nine to five. See you then!", "accepted"),
        ),
    ),
    Talk(
        SHOP,
        "Liam O’Connor",
        (
            Said(40, "Who do I call about the invoice?"),
            Said(
                31,
                ContactCards((ContactCard("Corner Shop accounts", phones=("+447700900299",)),)),  # type: ignore[arg-type]
                "accepted",
            ),
            Said(12, "Thanks. Is the second half of the order in too?"),
        ),
    ),
    Talk(
        SHOP,
        "Grace Murphy",
        (
            Said(4 * DAY, "We open again on Monday.", "accepted"),
            Said(4 * DAY - 3, "STOP"),
        ),
        done=True,
    ),
    Talk(
        SHOP_SMS,
        "Chloé Dubois",
        (
            Said(2 * DAY, "Corner Shop: your parcel waits here until Saturday.", "accepted"),
            Said(2 * DAY - 50, "Merci !"),
        ),
    ),
    Talk(
        APPOINTMENTS,
        "Hiro Tanaka",
        (
            Said(2 * DAY, "Hello Hiro, see you on Monday at 9.15.", "accepted"),
            Said(50, "May I come a little earlier?"),
        ),
    ),
    Talk(
        APPOINTMENTS,
        "Ben Carter",
        (
            Said(3 * DAY, "I would like to see Dr Lee."),
            Said(3 * DAY - 40, "She is in on Tuesdays.", "failed", _WINDOW),
        ),
    ),
)
