"""How the WhatsApp HTTP API is called: where parameters go, and what its answers amount to.

Parameters go into the query or into the body, which the host itself is asked about. Every answer
is redacted on its way in, because they like to quote the token.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import tzinfo
from typing import Any, Final
from urllib.parse import urlencode

from ..errors import ErrorClass, Failure, GatewayError, Verdict
from . import whatsapp_parameters as wire
from .base import Adapter, CallRecord, Upload
from .gateway_codes import SHORTEST_SECRET, refusal, secrets
from .http import MASK, NOT_JSON, Answer, TransportError, read_failure, redact_json
from .times import zone_of
from .whatsapp_answers import (
    QR_FAILED,
    SUCCESS,
    code_of,
    documented_refusal,
    in_trouble,
    knows_token,
    mended,
    reading_failure,
    redacted,
    refuses,
    word_of,
)
from .whatsapp_rows import lower_keys

#: Longest query that servers with usual settings read (8 KB for the whole line).
_QUERY_BYTES: Final = 7800


class NotSentError(Exception):
    """Finding out how this host reads parameters failed, so the message never left."""

    def __init__(self, failure: Failure, call: CallRecord) -> None:
        self.failure = replace(failure, verdict=Verdict.NEVER_LEFT)
        self.call = call
        super().__init__()


class WhatsAppCalls(Adapter):
    """The calling side of the adapter; what is said in calls is `whatsapp_http`."""

    def _mode(self) -> str:
        """body, query, or auto while this process has not found out."""
        mode = self.account.options.get("parameters") or "auto"
        if mode == "auto":
            mode = self.http.memo.get(self._memo_key, "auto")
        return str(mode)

    @property
    def _memo_key(self) -> tuple[str, str]:
        return (self.slug, self.account.base_url)

    def _reads_body(self, calls: list[CallRecord]) -> bool:
        """True where parameters go into the body. Asks the host once, by a call that only reads.

        An answer that can only be given to a known token proves that the token was read. Where
        neither way proves it, the documented one is used and the question stays open.
        """
        mode = self._mode()
        for candidate in ("body", "query") if mode == "auto" else ():
            try:
                answer = self._call("checkBal", (), candidate == "body")
            except TransportError as error:
                raise NotSentError(read_failure(error), error.call) from None
            body = lower_keys(answer.data)
            if knows_token(body):
                self.http.memo[self._memo_key] = mode = candidate
                calls.append(answer.call)
                break
            if in_trouble(answer, body):
                raise NotSentError(reading_failure(answer), answer.call)
            calls.append(answer.call)
        return mode == "body"

    def _call(
        self,
        operation: str,
        parameters: wire.Parameters,
        body: bool,
        *,
        upload: Upload | None = None,
        cap: int | None = None,
    ) -> Answer:
        pairs = (("token", self.account.credentials.get("token", "")), *parameters)
        record: dict[str, Any] = {"token": MASK}
        for name, value in parameters:
            record[name] = (
                [*record[name], value] if name in record else ([value] if name == "rows" else value)
            )
        if upload:
            record["file"] = {"name": upload.filename, "bytes": upload.size}
        return self.http.call(
            operation,
            # Proxies may repeat a GET by themselves; a POST they leave alone.
            "POST",
            f"{self.account.base_url.rstrip('/')}/api/{operation}",
            params=None if body else pairs,
            form=pairs if body else None,
            files={"file": upload} if upload else None,
            record=record,
            redact=self._redact_report if cap else self._redact,
            cap=cap,
        )

    def _too_long(self, parameters: wire.Parameters) -> bool:
        """True where the parameters fit into no address."""
        token = self.account.credentials.get("token", "")
        return len(urlencode((("token", token), *parameters))) > _QUERY_BYTES

    def _redact(self, data: Any) -> Any:
        return redacted(data, self._secrets)

    def _redact_report(self, data: Any) -> Any:
        """Rows become events; of a report, which may be long, the frame is kept."""
        if isinstance(data, dict):
            data = {name: value for name, value in data.items() if name != "data"}
        return self._redact(data)

    def _read(
        self, operation: str, parameters: wire.Parameters = (), cap: int | None = None
    ) -> Answer:
        """A call that only reads. Raises TransportError, and GatewayError where it cannot ask."""
        try:
            body = self._reads_body([])
        except NotSentError as error:
            raise GatewayError(error.failure) from None
        return self._call(operation, parameters, body, cap=cap)

    def _ask(
        self, operation: str, parameters: wire.Parameters = (), cap: int | None = None
    ) -> tuple[Answer, dict[str, Any]]:
        """A call that only reads, and its body. Raises GatewayError for anything but success."""
        try:
            answer = self._read(operation, parameters, cap)
        except TransportError as error:
            raise GatewayError(read_failure(error)) from None
        body = lower_keys(mended(answer.body) if answer.data is NOT_JSON else answer.data)
        code = code_of(body)
        if answer.status == 200 and (code == SUCCESS or word_of(body) in ("success", "qrcode")):
            return answer, body
        text = self._clean(body.get("message"))
        failure = documented_refusal(code, text)
        if code == QR_FAILED:
            failure = refusal(ErrorClass.TRANSIENT, code, text)
        elif failure is None and refuses(answer, body):
            failure = refusal(ErrorClass.UNKNOWN_REJECTION, code, text)
        raise GatewayError(failure or reading_failure(answer))

    def _clean(self, value: Any) -> str:
        """The gateway's words without our token, which it likes to quote."""
        text = value if isinstance(value, str) else ""
        return str(redact_json(text, (), self._secrets))

    @property
    def _zone(self) -> tzinfo:
        return zone_of(self.account.time_zone)

    @property
    def _secrets(self) -> list[str]:
        """What no answer may repeat. The instance id is as good as the token."""
        learnt = self.account.instance_id
        known = secrets(self.account)
        return [*known, learnt] if len(learnt) >= SHORTEST_SECRET else known
