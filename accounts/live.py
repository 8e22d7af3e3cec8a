"""What accounts offers over `/ws/rpc/`."""

from typing import Annotated, Any

import msgspec

from accounts.selectors import user_profile
from accounts.services import status_update
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.rpc import rpc_method
from realtime.verbs import Call

Status = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


@rpc_method("get_user", reply="user_data")
def get_user(call: Call, *, user_id: int) -> dict[str, Any]:
    """A member of this tenant, by id."""
    profile = user_profile(call.tenant.id, user_id)
    if profile is None:
        raise RequestError(
            ErrorCode.NOT_FOUND, "No member has this id.", details={"field": "payload.user_id"}
        )
    return {"user": profile}


@rpc_method("update_status", reply="status_updated", signed_in=True)
def update_status(call: Call, *, status: Status) -> dict[str, Any]:
    """Change the status others see of you."""
    status_update(call.tenant.id, call.require_identity().user_id, status)
    return {"success": True}
