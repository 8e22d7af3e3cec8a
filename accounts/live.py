"""What accounts offers over `/ws/rpc/`."""

from time import monotonic
from typing import Annotated, Any

import msgspec

from accounts.profiles import Profiles
from accounts.selectors import user_profile
from accounts.services import status_update
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.rpc import rpc_method
from realtime.verbs import Call

Status = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


@rpc_method("get_user", reply="user_data")
async def get_user(call: Call, *, user_id: int) -> dict[str, Any]:
    """A member of this tenant, by id; up to a second old."""
    profiles, key = _profiles(call), (call.tenant.id, user_id)
    known = profiles.get(key, monotonic())
    if known is not None:
        profile = known.profile
    else:
        profile = await profiles.load(key, lambda: call.in_db(user_profile, *key))
    if profile is None:
        raise RequestError(
            ErrorCode.NOT_FOUND, "No member has this id.", details={"field": "payload.user_id"}
        )
    return {"user": profile}


@rpc_method("update_status", reply="status_updated", signed_in=True)
async def update_status(call: Call, *, status: Status) -> dict[str, Any]:
    """Change the status others see of you."""
    user_id = call.require_identity().user_id
    await call.in_db(status_update, call.tenant.id, user_id, status)
    _profiles(call).forget((call.tenant.id, user_id))
    return {"success": True}


def _profiles(call: Call) -> Profiles:
    profiles: Profiles | None = call.runtime.state.get("accounts.profiles")
    if profiles is None:
        profiles = call.runtime.state["accounts.profiles"] = Profiles()
    return profiles
