"""Request and reply: every registered method is a verb of this endpoint."""

from collections.abc import Awaitable

import msgspec
from msgspec.structs import asdict

from realtime.calls import calls_of, reply_frame
from realtime.consumers.json import CORE_VERBS, JsonConsumer
from realtime.core.scopes import require_scopes
from realtime.parameters import parameters_from
from realtime.protocol.envelope import Reply, Request
from realtime.rpc import RpcMethod
from realtime.verbs import Call, NoPayload, Verb


async def on_methods(call: Call, payload: NoPayload) -> Reply:
    """Tell what can be called, and with what."""
    methods = call.runtime.registry.methods
    return Reply("rpc.methods", {"methods": [methods[name].describe() for name in sorted(methods)]})


class RpcConsumer(JsonConsumer):
    """Calls run side by side and are answered in the order they end."""

    verbs = {**CORE_VERBS, "rpc.methods": Verb(NoPayload, on_methods)}

    def _run(self, request: Request) -> Awaitable[None] | None:
        method = self.connection.runtime.registry.methods.get(request.type)
        if method is None:
            return super()._run(request)
        call = Call(self.connection, request)
        if method.needs_user:
            call.require_identity()
        if method.scopes:
            require_scopes(self.connection.identity, method.scopes)
        parameters = parameters_from(method.parameters, request.payload)
        if method.is_at_once:
            return self._answer_at_once(method, call, parameters)
        calls_of(self.connection).start(call, method.answer, parameters)
        return None

    def _answer_at_once(
        self, method: RpcMethod, call: Call, parameters: msgspec.Struct
    ) -> Awaitable[None] | None:
        calls = calls_of(self.connection)
        calls.admit(call.request.id)
        payload = method.function(call, **asdict(parameters))
        if not isinstance(payload, dict):
            calls.start(call, method.finish, payload)
            return None
        frame = reply_frame(call.request.id, Reply(method.reply, payload))
        return None if frame is None else self.connection.send(frame)
