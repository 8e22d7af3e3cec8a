"""The RPC methods of accounts, for `/ws/rpc/`."""

from typing import Annotated, TypedDict, cast

import msgspec
from django.utils.translation import gettext as _

from accounts.profiles import Profile, Profiles
from accounts.selectors import user_profile
from accounts.services import status_update
from realtime import Call, ErrorCode, RequestError, rpc_method


class MemberProfile(TypedDict):
    """A user as the members of a tenant see them."""

    id: int
    username: str
    status: str
    first_name: str
    last_name: str


class UserData(TypedDict):
    """The reply of `get_user`."""

    user: MemberProfile


class StatusUpdated(TypedDict):
    """The reply of `update_status`."""

    success: bool


Status = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


def user_at_hand(call: Call, *, user_id: int) -> UserData | None:
    """Return the answer of `get_user` if the profile is in the cache."""
    known = _profiles(call).get((call.tenant.id, user_id))
    return None if known is None else _user_data(known.profile)


@rpc_method("get_user", reply="user_data", signed_in=True, at_hand=user_at_hand)
async def get_user(call: Call, *, user_id: int) -> UserData:
    """Return a member of this tenant by id, for its members. The answer may be up to 1 s old."""
    key = (call.tenant.id, user_id)
    return _user_data(await _profiles(call).load(key, lambda: call.in_db(user_profile, *key)))


def _user_data(profile: Profile | None) -> UserData:
    if profile is None:
        raise RequestError(
            ErrorCode.NOT_FOUND, _("No member has this id."), details={"field": "payload.user_id"}
        )
    return {"user": cast("MemberProfile", profile)}


@rpc_method("update_status", reply="status_updated", signed_in=True)
async def update_status(call: Call, *, status: Status) -> StatusUpdated:
    """Change your status text, which other members see."""
    user_id = call.require_identity().user_id
    await call.in_db(status_update, call.tenant.id, user_id, status)
    _profiles(call).forget((call.tenant.id, user_id))
    return {"success": True}


def _profiles(call: Call) -> Profiles:
    return call.node.shared(Profiles, Profiles)
