"""Puts the parts together: route, read, strike with a fault or answer, record."""

from __future__ import annotations

from collections.abc import Awaitable

from .call import Call, Gateway, Outcome
from .control import Control
from .customers import Customers
from .faults import answer_with
from .intellisoftware import IntelliSoftware
from .intellixent import Intellixent
from .links import probe
from .pages import PREFIXES, Pages
from .state import Arrival, State
from .webhooks import Webhooks
from .whatsapp_http import WhatsAppHttp
from .wire import Reply, Request, json_reply

SILENT = ("hang", "cut")


class App:
    """All three systems and the control API on one port."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.gateways: dict[str, Gateway] = {
            gateway.slug: gateway
            for gateway in (WhatsAppHttp(state), IntelliSoftware(state), Intellixent(state))
        }
        self.webhooks = Webhooks(state)
        customers = Customers(state, self.webhooks)
        self._control = Control(state, self.gateways, customers, self.webhooks)
        self._pages = Pages(state)
        self._routes: dict[str, tuple[Gateway, str]] = {}

    def handle(self, request: Request) -> Reply | Awaitable[Reply]:
        """Answer one request."""
        route = self._routes.get(request.path)
        if route is None:
            if request.path.startswith("/_sandbox/"):
                return self._control.handle(request)
            if request.path.startswith(PREFIXES):
                return self._pages.handle(request)
            route = self._find(request.path)
            if route is None:
                return self._unknown(request)
        gateway, operation = route
        call = gateway.read(operation, request)
        if call.fetch:
            return self._fetch_first(gateway, call)
        outcome = self._perform(gateway, call)
        return self._after_webhooks(outcome) if self.webhooks.early else outcome

    def _find(self, path: str) -> tuple[Gateway, str] | None:
        for gateway in self.gateways.values():
            operation = gateway.route(path)
            if operation is not None:
                route = (gateway, operation)
                if len(self._routes) < 1_000:
                    self._routes[path] = route
                return route
        return None

    async def _fetch_first(self, gateway: Gateway, call: Call) -> Reply:
        call.data.download = await probe(call.fetch)
        return await self._after_webhooks(self._perform(gateway, call))

    async def _after_webhooks(self, outcome: Outcome) -> Reply:
        if self.webhooks.early:
            await self.webhooks.wait_early()
        return outcome

    def _perform(self, gateway: Gateway, call: Call) -> Outcome:
        faults = self.state.faults
        fault = faults.match(call) if faults else None
        outcome = gateway.answer(call) if fault is None else answer_with(fault, gateway, call)
        self._record(call, outcome)
        return outcome

    def _record(self, call: Call, outcome: Outcome) -> None:
        state, request, fault = self.state, call.request, call.fault
        state.record(
            Arrival(
                state.next_arrival,
                request.time,
                request.clock,
                request.method,
                call.gateway,
                call.operation,
                "" if call.account is None else call.account.name,
                call.phones,
                call.text,
                call.content,
                0 if outcome.manner in SILENT else outcome.status,
                outcome.code,
                outcome.accepted,
                outcome.ids,
                "" if fault is None else fault.mode,
            )
        )

    def _unknown(self, request: Request) -> Reply:
        call = Call("", request.path, request)
        self._record(call, Outcome(404, code="404"))
        return json_reply({"error": f"nothing at {request.path}"}, 404)
