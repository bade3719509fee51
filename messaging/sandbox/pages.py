"""What a browser may open: the phone that scans, the pictures of the codes, served media."""

from __future__ import annotations

import html
from urllib.parse import quote, unquote

from . import pairing
from .accounts import WhatsAppHttpAccount
from .forms import CharactersError, parse_urlencoded
from .state import MEDIA_PATH, State
from .wire import HTML_TYPE, Reply, Request, json_reply

PHONE_PATH = "/phone/"
PREFIXES = (PHONE_PATH, pairing.ASSETS, MEDIA_PATH)

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Phone {number}</title>{refresh}
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:16px/1.5 sans-serif;max-width:30em;margin:3em auto;padding:0 1em}}
img{{max-width:100%}}button{{font:inherit;padding:.6em 1.2em}}</style></head>
<body><h1>The sandbox's phone {number}</h1>{body}</body></html>
"""
_CODE = """<p>The gateway shows this code now:</p>
<p><img src="{source}" alt="The QR code to scan"></p>
<form method="post" action="{action}"><input type="hidden" name="code" value="{code}">
<button>Scan with this phone</button></form>"""
_CONNECTED = "<p><strong>Connected.</strong> This phone is paired with the gateway.</p>"
_EXPIRED = "<p role='alert'>This code has expired. <a href='{again}'>Show the new one</a></p>"


class Pages:
    """Answers the few paths that are neither a gateway's nor the control API's."""

    def __init__(self, state: State) -> None:
        self._state = state

    def handle(self, request: Request) -> Reply:
        """Answer one request."""
        path = request.path
        if path.startswith(PHONE_PATH):
            return self._phone(request)
        if request.method != "GET":
            return json_reply({"error": "only GET"}, 405)
        if path.startswith(pairing.ASSETS):
            data = pairing.asset(self._state, path.removeprefix(pairing.ASSETS))
            return _missing() if data is None else Reply(200, data, "image/png")
        name = unquote(path.removeprefix(MEDIA_PATH)).partition("/")[0]
        data, content_type = self._state.media.get(name, (None, ""))
        return _missing() if data is None else Reply(200, data, content_type)

    def _phone(self, request: Request) -> Reply:
        token, _, action = request.path.removeprefix(PHONE_PATH).partition("/")
        account = self._state.instance(token)
        if account is None or action not in ("", "scan"):
            return _missing()
        if not action:
            return self._show(account)
        if request.method != "POST":
            return json_reply({"error": "only POST"}, 405)
        try:
            form = parse_urlencoded(request.body.decode("latin-1"))
            pairing.scan(self._state, account, (form.get("code") or [""])[0])
        except CharactersError:
            return json_reply({"error": "the form is not UTF-8"}, 400)
        except pairing.ExpiredError:
            return _page(account, _EXPIRED.format(again=_path(account)), 400)
        return _page(account, _CONNECTED)

    def _show(self, account: WhatsAppHttpAccount) -> Reply:
        if account.connected:
            return _page(account, _CONNECTED)
        number = pairing.serial(self._state)
        body = _CODE.format(
            source=html.escape(pairing.ASSETS + quote(pairing.link_name(account, number))),
            action=f"{_path(account)}/scan",
            code=html.escape(pairing.code(account, number)),
        )
        return _page(account, body, refresh='<meta http-equiv="refresh" content="10">')


def _path(account: WhatsAppHttpAccount) -> str:
    return html.escape(PHONE_PATH + quote(account.token))


def _page(account: WhatsAppHttpAccount, body: str, status: int = 200, refresh: str = "") -> Reply:
    text = _PAGE.format(number=html.escape(account.number), body=body, refresh=refresh)
    return Reply(status, text.encode(), HTML_TYPE)


def _missing() -> Reply:
    return json_reply({"error": "not found"}, 404)
