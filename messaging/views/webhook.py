"""Where gateways post what happened: stored first, answered 200, worked on in between.

No gateway signs its posts, so the token in the address is the proof; a wrong one learns nothing.
IntelliSoftware takes nothing but 200 for an answer and repeats everything else for ever, so what
cannot be read is kept and answered 200 too; only what could not be stored is a 5xx. Our answers
keep out of Django's log, which would write the address, and with it the token.
"""

from __future__ import annotations

import ipaddress
import logging
from io import BytesIO
from typing import Any, BinaryIO, Final

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.core.files.uploadhandler import MemoryFileUploadHandler, TemporaryFileUploadHandler
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.views.decorators.csrf import csrf_exempt

from .. import conf, inbox, media
from ..adapters.base import WebhookFile, WebhookRequest
from ..errors import ConfigurationError, Refused
from ..models import Provider, WebhookDelivery

logger = logging.getLogger("messaging")

_CHUNK: Final = 65_536


class _TooLargeError(Exception):
    pass


class _EveryAlias:
    """Outside ATOMIC_REQUESTS on every database: what is stored must be committed at once."""

    def __contains__(self, alias: object) -> bool:
        return True


@csrf_exempt
@login_not_required
def receive(request: HttpRequest, token: str) -> HttpResponse:
    """One post of a gateway."""
    if request.method != "POST":
        return _answer(405)
    try:
        provider = inbox.provider_of(token)
        if provider is None or not _may_post(provider, request):
            return _answer(404)
        row = _store(provider, request)
    except _TooLargeError:
        return _answer(413)
    except Exception as error:
        # Not its text: it may quote the address. The gateway will post again.
        logger.error("A webhook could not be stored: %s.", type(error).__name__)
        return _answer(503)
    inbox.process(row)
    return _answer(200)


receive._non_atomic_requests = _EveryAlias()  # type: ignore[attr-defined]


def _answer(status: int) -> HttpResponse:
    response = HttpResponse("OK" if status == 200 else "", status=status, content_type="text/plain")
    response["Cache-Control"] = "no-store"
    # Django logs every answer of 400 and more with its path.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def _may_post(provider: Provider, request: HttpRequest) -> bool:
    """Whether the gateway can post at all, and from this address where a list is kept."""
    try:
        if not provider.adapter_class.supports("parse_webhook"):
            return False
    except ConfigurationError:
        return False
    listed = str(provider.options.get("webhook_addresses") or "").replace(",", " ").split()
    if not listed:
        return True
    try:
        remote = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
        return any(remote in ipaddress.ip_network(item, strict=False) for item in listed)
    except (ValueError, TypeError):
        return False


def _store(provider: Provider, request: HttpRequest) -> WebhookDelivery:
    is_form = (request.content_type or "").lower() == "multipart/form-data"
    cap = int(conf.get("MEDIA_MAX_BYTES" if is_form else "WEBHOOK_MAX_BYTES"))
    raw = _read(request, cap)
    content_type = request.META.get("CONTENT_TYPE", "")
    remote = str(request.META.get("REMOTE_ADDR", ""))
    if is_form and (parts := _parts(request, raw, content_type)) is not None:
        return inbox.store(provider, parts, remote=remote)
    body = raw.decode("utf-8", "replace").replace("\x00", "\ufffd")
    clean = body.encode() == raw
    kept = WebhookRequest(content_type=content_type, body=body)
    return inbox.store(provider, kept, raw=b"" if clean else raw, remote=remote)


def _read(request: HttpRequest, cap: int) -> bytes:
    """The body, read past Django's own limits and under ours. Raises _TooLargeError."""
    try:
        if int(request.META.get("CONTENT_LENGTH") or 0) > cap:
            raise _TooLargeError
    except ValueError:
        pass
    stream = _stream(request)
    chunks: list[bytes] = []
    size = 0
    while chunk := stream.read(min(_CHUNK, cap + 1 - size)):
        chunks.append(chunk)
        size += len(chunk)
        if size > cap:
            raise _TooLargeError
    return b"".join(chunks)


def _stream(request: HttpRequest) -> BinaryIO | HttpRequest:
    """Where the body is read. Without a length Django reads nothing of a body sent in chunks."""
    if isinstance(request, WSGIRequest) and not request.META.get("CONTENT_LENGTH"):
        environ: dict[str, Any] = request.environ
        if environ.get("wsgi.input_terminated"):
            stream: BinaryIO = environ["wsgi.input"]
            return stream
    return request


def _parts(request: HttpRequest, raw: bytes, content_type: str) -> WebhookRequest | None:
    """The parts of a multipart form, its files kept as attachments; None where it is none."""
    meta = {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": len(raw)}
    handlers = [MemoryFileUploadHandler(request), TemporaryFileUploadHandler(request)]
    try:
        fields, files = MultiPartParser(
            meta, BytesIO(raw), handlers, request.encoding or "utf-8"
        ).parse()
    except (MultiPartParserError, RequestDataTooBig, SuspiciousOperation, ValueError):
        return None
    kept: list[WebhookFile] = []
    texts = {name: str(value) for name, value in fields.items()}
    for field, uploads in files.lists():
        for upload in uploads:
            if field == "json" and field not in texts:
                # The description itself, sent as if it were a file.
                texts[field] = upload.read().decode("utf-8", "replace")
                continue
            try:
                row = media.keep_upload(upload, upload.name or "", upload.content_type or "")
            except Refused:
                continue  # empty, or larger than we keep: the message is kept without it
            kept.append(
                WebhookFile(
                    field=field[:100],
                    key=str(row.key),
                    filename=row.filename,
                    content_type=row.content_type,
                    size=row.size,
                )
            )
    return WebhookRequest(
        content_type=content_type,
        fields={name: value.replace("\x00", "\ufffd") for name, value in texts.items()},
        files=tuple(kept),
    )
