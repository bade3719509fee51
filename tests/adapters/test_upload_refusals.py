"""Files too large for a gateway are refused at the door, with their size in words."""

from __future__ import annotations

import io

import pytest

from messaging.adapters.base import Adapter, Upload
from messaging.adapters.dummy import Dummy
from messaging.adapters.intellisoftware import IntelliSoftware
from messaging.adapters.whatsapp_http import WhatsAppHttp
from messaging.content import Buttons, Content, Media


def upload(size: int, name: str = "a.jpg") -> Upload:
    return Upload(filename=name, content_type="image/jpeg", size=size, open=io.BytesIO)


@pytest.mark.parametrize(
    ("cls", "content", "most"),
    [
        (WhatsAppHttp, Media("image", file="k"), 3_000_000),
        (WhatsAppHttp, Media("document", file="k"), 3_000_000),
        (IntelliSoftware, Media("image", file="k"), 5_000_000),
        (IntelliSoftware, Media("video", file="k"), 16_000_000),
        (IntelliSoftware, Media("audio", file="k"), 16_000_000),
        (IntelliSoftware, Media("document", file="k"), 100_000_000),
        (IntelliSoftware, Media("sticker", file="k"), 500_000),
        (IntelliSoftware, Buttons("b", ["Yes"], header=Media("image", file="k")), 5_000_000),
    ],
)
def test_the_limit_is_the_largest_file_taken(
    cls: type[Adapter], content: Content, most: int
) -> None:
    assert cls.upload_refusal(content, upload(most)) == ""
    assert "MB" in cls.upload_refusal(content, upload(most + 1))


def test_a_gateway_without_a_limit_refuses_nothing() -> None:
    assert Dummy.upload_refusal(Media("image", file="k"), upload(10**9)) == ""
