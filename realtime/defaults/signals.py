"""Sign-outs and changes of users, told to the sockets at once. Without a signal, a recheck finds a change within 30 s."""

import logging
from time import time
from typing import Any

from django.contrib.auth.signals import user_logged_out
from django.db.models.signals import post_delete, post_save

from realtime.api import recheck, revoke
from realtime.core.identity import as_user_id
from realtime.core.revocations import Revocation, RevocationKind
from realtime.defaults.identity import session_key_hash
from realtime.node.node import current_node
from realtime.protocol.errors import PublishUnavailableError

logger = logging.getLogger(__name__)

# Seconds that a sign-out is remembered. After it the session is gone for every handshake.
SIGN_OUT_S = 60.0
# The fields that Django changes at each sign-in.
NOTHING_TAKEN = frozenset({"last_login"})


def connect(user_model: type) -> None:
    """Listen to sign-outs, and to changes of users. Called once, when the apps are ready."""
    user_logged_out.connect(_signed_out, dispatch_uid="realtime.signed_out")
    post_save.connect(_saved, sender=user_model, dispatch_uid="realtime.user_saved")
    post_delete.connect(_deleted, sender=user_model, dispatch_uid="realtime.user_deleted")


def _signed_out(request: Any, user: Any, **_: Any) -> None:
    session_key = getattr(getattr(request, "session", None), "session_key", None)
    if user is None or not session_key:
        return
    name = session_key_hash(session_key)
    revoke([Revocation(RevocationKind.SESSION, as_user_id(user.pk), name, 0, None, time() + SIGN_OUT_S)])


def _saved(instance: Any, created: bool, update_fields: Any, using: str, **_: Any) -> None:
    if not created and not (update_fields and NOTHING_TAKEN.issuperset(update_fields)):
        _recheck(instance.pk, using)


def _deleted(instance: Any, using: str, **_: Any) -> None:
    _recheck(instance.pk, using)


def _recheck(key: Any, using: str) -> None:
    node = current_node()
    # Another process without a broker cannot tell the sockets.
    if not (node.serves_here or node.settings.REDIS_URL):
        return
    try:
        recheck(as_user_id(key), using=using)
    except PublishUnavailableError as error:
        # The user is saved all the same.
        logger.warning("The sockets of user %r are asked about later: %s", key, error)
