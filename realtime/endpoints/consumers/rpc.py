"""Remote procedure calls: every registered method is a verb of this endpoint."""

from collections.abc import Awaitable

from msgspec.structs import asdict

from realtime.core.scopes import require_scopes
from realtime.endpoints import wire
from realtime.endpoints.calls import handler_of
from realtime.endpoints.consumers.base import JsonConsumer
from realtime.endpoints.consumers.core_verbs import CORE_VERBS
from realtime.endpoints.parameters import parameters_from
from realtime.endpoints.shared import endpoints_of
from realtime.endpoints.verbs import Call, Handler, NoPayload, Verb
from realtime.protocol.envelope import Reply, Request
from realtime.sockets.completed import COMPLETED


async def on_methods(call: Call["RpcConsumer"], payload: NoPayload) -> Reply:
    """List the methods and their parameters."""
    methods = endpoints_of(call.consumer.scope).registry.methods
    return Reply("rpc.methods", {"methods": [methods[name].describe() for name in sorted(methods)]})


class RpcConsumer(JsonConsumer):
    """Registered methods. Calls run concurrently and are answered in the order in which they finish."""

    verbs = {
        **CORE_VERBS,
        "rpc.methods": Verb(NoPayload, on_methods, reply="rpc.methods", returns=wire.Methods),
    }

    def _run(self, request: Request) -> Awaitable[None]:
        method = endpoints_of(self.scope).registry.methods.get(request.type)
        if method is None:
            return super()._run(request)
        call = Call(self, request, self.connection, self.node)
        if method.needs_user:
            call.require_identity()
        if method.scopes:
            require_scopes(self.connection.identity, method.scopes)
        parameters = parameters_from(method.parameters, request.payload)
        calls, at_hand = self.calls, method.at_hand
        answer: Handler = method.answer
        if (watch := call.node.block_watch) is not None:
            answer = watch.handler(answer, handler_of(request.type), self.connection)
            at_hand = at_hand and watch.plain(at_hand, handler_of(request.type), self.connection)
        if at_hand is not None:
            calls.admit(request.id)
            payload = at_hand(call, **asdict(parameters))
            if payload is not None:
                return self._reply(request.id, method.reply_of(payload))
        calls.start(call, answer, parameters)
        return COMPLETED
