"""The use cases of the chat: each is a verb of the socket and a route of the REST API.

An operation runs in a database thread.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_type_hints

from django.db import IntegrityError
from msgspec import Struct

from chat import selectors, services
from chat.messages import changing, reading, sending
from chat.people import profiles
from chat.search import selectors as searching
from chat.wire import REPLIES
from realtime import NoPayload, Publisher, Tenant

READ = ("chat:read",)
WRITE = ("chat:write",)


@dataclass(frozen=True)
class Operation:
    """A use case. `reply` is the type of the reply, `route` its HTTP method and path under `/api/chat/`.

    `run` is a selector if the method is GET, and is called with the ids of the tenant and the user. Otherwise it is a
    service. The third argument, if it takes one, is the payload. It returns the reply's payload or the one field of
    it, and may add whether something is new. The first paragraph of its docstring is for clients.
    """

    run: Callable[..., Any]
    reply: str
    route: str
    scopes: tuple[str, ...] = WRITE

    @property
    def description(self) -> str:
        """What the operation does, for clients."""
        return str(self.run.__doc__).partition("\n\n")[0]

    @cached_property
    def payload(self) -> type[Struct]:
        """The type of the payload, as `run` declares it."""
        kind: type[Struct] = get_type_hints(self.run).get("payload", NoPayload)
        return kind

    def answer(self, tenant: Tenant, user: Publisher, payload: Struct) -> tuple[Struct, bool]:
        """Run the operation for a checked payload, and return the reply's payload and whether something was created.

        Raises what `run` raises.
        """
        method, kind = self.route.partition(" ")[0], REPLIES[self.reply]
        caller = (tenant.id, user.id) if method == "GET" else (tenant, user)
        given = () if self.payload is NoPayload else (payload,)
        try:
            result = self.run(*caller, *given)
        except IntegrityError:
            # What it relied on was deleted before its commit. Judged again, it says so as it should.
            result = self.run(*caller, *given)
        result, is_new = result if isinstance(result, tuple) else (result, False)
        return result if isinstance(result, kind) else kind(result), is_new and method != "DELETE"


_ROOM = "rooms/<int:room_id>/"
_MESSAGE = f"{_ROOM}messages/<int:seq>/"
_REACTION = f"{_MESSAGE}reactions/<str:emoji>/"

OPERATIONS: Mapping[str, Operation] = {
    "room.list": Operation(selectors.room_list, "room.list", "GET rooms/", READ),
    "room.get": Operation(selectors.room_get, "room", f"GET {_ROOM}", READ),
    "room.create": Operation(services.room_create, "room", "POST rooms/"),
    "room.join": Operation(services.room_join, "room", f"POST {_ROOM}join/"),
    "room.leave": Operation(services.room_leave, "room.left", f"POST {_ROOM}leave/"),
    "room.update": Operation(services.room_update, "room", f"PATCH {_ROOM}"),
    "room.invite": Operation(services.room_invite, "room", f"POST {_ROOM}invite/"),
    "room.remove": Operation(services.room_remove, "room", f"POST {_ROOM}remove/"),
    "room.role": Operation(services.room_role, "room", f"POST {_ROOM}role/"),
    "room.direct": Operation(services.room_direct, "room", "POST direct/"),
    "room.settings": Operation(services.room_settings, "room", f"POST {_ROOM}settings/", READ),
    "member.list": Operation(selectors.member_list, "member.list", f"GET {_ROOM}members/", READ),
    "message.list": Operation(reading.message_list, "message.list", f"GET {_ROOM}messages/", READ),
    "message.changes": Operation(reading.message_changes, "message.changes", f"GET {_ROOM}changes/", READ),
    "message.send": Operation(sending.message_post, "message.sent", f"POST {_ROOM}messages/"),
    "message.edit": Operation(changing.message_edit, "message.edited", f"PATCH {_MESSAGE}"),
    "message.delete": Operation(changing.message_delete, "message.deleted", f"DELETE {_MESSAGE}"),
    "reaction.add": Operation(changing.reaction_add, "message.reacted", f"PUT {_REACTION}"),
    "reaction.remove": Operation(changing.reaction_remove, "message.reacted", f"DELETE {_REACTION}"),
    "pin.add": Operation(changing.pin_add, "message.pinned", f"PUT {_MESSAGE}pin/"),
    "pin.remove": Operation(changing.pin_remove, "message.pinned", f"DELETE {_MESSAGE}pin/"),
    "pin.list": Operation(reading.pin_list, "pin.list", f"GET {_ROOM}pins/", READ),
    "read": Operation(services.read, "read", f"POST {_ROOM}read/", READ),
    "search": Operation(searching.search, "search", "GET search/", READ),
    "user.list": Operation(profiles.user_list, "users", "GET users/", READ),
    "profile.get": Operation(profiles.profile_get, "profile", "GET profile/", READ),
    "profile.update": Operation(profiles.profile_update, "profile", "PATCH profile/"),
}
