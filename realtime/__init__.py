"""Everything about sockets, independent of chat and accounts. These names are the public API.

Other apps import them from here, and nothing from the modules inside. Each name is imported at first use, so
that `import realtime` works before settings are configured.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from realtime import moved

if TYPE_CHECKING:
    from realtime.api import apublish as apublish
    from realtime.api import end_subscriptions as end_subscriptions
    from realtime.api import publish as publish
    from realtime.api import publish_before_commit_unsafe as publish_before_commit_unsafe
    from realtime.api import publish_soon as publish_soon
    from realtime.api import recheck as recheck
    from realtime.api import refresh_tenants as refresh_tenants
    from realtime.api import revoke as revoke
    from realtime.api import rewrite_history as rewrite_history
    from realtime.asgi import build_application as build_application
    from realtime.conf import RealtimeSettings as RealtimeSettings
    from realtime.control.admin_addresses import CheckedAddresses as CheckedAddresses
    from realtime.control.bans import require_not_banned as require_not_banned
    from realtime.control.face import aannounce as aannounce
    from realtime.control.face import aban as aban
    from realtime.control.face import abroadcast as abroadcast
    from realtime.control.face import aconnections as aconnections
    from realtime.control.face import adisconnect as adisconnect
    from realtime.control.face import adrain_node as adrain_node
    from realtime.control.face import ahistory as ahistory
    from realtime.control.face import alist_topics as alist_topics
    from realtime.control.face import announce as announce
    from realtime.control.face import anodes as anodes
    from realtime.control.face import aposition as aposition
    from realtime.control.face import apresence as apresence
    from realtime.control.face import aresume_tenant as aresume_tenant
    from realtime.control.face import arevoke_user as arevoke_user
    from realtime.control.face import asubscribe as asubscribe
    from realtime.control.face import asuspend_tenant as asuspend_tenant
    from realtime.control.face import aunban as aunban
    from realtime.control.face import aunsubscribe as aunsubscribe
    from realtime.control.face import ban as ban
    from realtime.control.face import broadcast as broadcast
    from realtime.control.face import connections as connections
    from realtime.control.face import disconnect as disconnect
    from realtime.control.face import drain_node as drain_node
    from realtime.control.face import history as history
    from realtime.control.face import list_topics as list_topics
    from realtime.control.face import nodes as nodes
    from realtime.control.face import position as position
    from realtime.control.face import presence as presence
    from realtime.control.face import record_action as record_action
    from realtime.control.face import resume_tenant as resume_tenant
    from realtime.control.face import revoke_user as revoke_user
    from realtime.control.face import subscribe as subscribe
    from realtime.control.face import suspend_tenant as suspend_tenant
    from realtime.control.face import unban as unban
    from realtime.control.face import unsubscribe as unsubscribe
    from realtime.control.keys import count_keys_made_by as count_keys_made_by
    from realtime.control.keys import create_key as create_key
    from realtime.control.lists import Page as Page
    from realtime.control.operators import session_actor as session_actor
    from realtime.control.tenants import forget_tenant as forget_tenant
    from realtime.core.actors import Actor as Actor
    from realtime.core.addresses import TrustedProxies as TrustedProxies
    from realtime.core.addresses import address_key as address_key
    from realtime.core.attempts import AttemptRule as AttemptRule
    from realtime.core.broker_url import BrokerUrlError as BrokerUrlError
    from realtime.core.broker_url import cache_settings as cache_settings
    from realtime.core.broker_url import channel_layer_settings as channel_layer_settings
    from realtime.core.broker_url import is_cluster as is_cluster
    from realtime.core.broker_url import parse_broker_url as parse_broker_url
    from realtime.core.broker_url import parse_single_url as parse_single_url
    from realtime.core.history import Publisher as Publisher
    from realtime.core.hosts import parse_host as parse_host
    from realtime.core.identity import CredentialKind as CredentialKind
    from realtime.core.identity import Identity as Identity
    from realtime.core.identity import Tenant as Tenant
    from realtime.core.identity import UserId as UserId
    from realtime.core.origins import is_own_origin as is_own_origin
    from realtime.core.origins import parse_origin as parse_origin
    from realtime.core.position import Position as Position
    from realtime.core.revocations import LOST_STAFF as LOST_STAFF
    from realtime.core.revocations import LOST_SUPERUSER as LOST_SUPERUSER
    from realtime.core.revocations import Revocation as Revocation
    from realtime.core.revocations import RevocationKind as RevocationKind
    from realtime.core.slots import Owner as Owner
    from realtime.core.token_bucket import TokenBucket as TokenBucket
    from realtime.core.token_bucket import retry_after_ms as retry_after_ms
    from realtime.core.topics import TopicRule as TopicRule
    from realtime.core.topics import anyone as anyone
    from realtime.core.topics import members as members
    from realtime.core.topics import nobody as nobody
    from realtime.core.topics import owner as owner
    from realtime.core.topics import publishing_members as publishing_members
    from realtime.core.topics import staff as staff
    from realtime.dashboard.consumer import LiveConsumer as LiveConsumer
    from realtime.defaults.identity import DjangoIdentity as DjangoIdentity
    from realtime.defaults.routing import default_routes as default_routes
    from realtime.defaults.tenants import OneTenant as OneTenant
    from realtime.endpoints.consumers.base import JsonConsumer as JsonConsumer
    from realtime.endpoints.consumers.base import RealtimeConsumer as RealtimeConsumer
    from realtime.endpoints.consumers.core_verbs import CORE_VERBS as CORE_VERBS
    from realtime.endpoints.consumers.data import DataConsumer as DataConsumer
    from realtime.endpoints.consumers.pubsub import PUBSUB_VERBS as PUBSUB_VERBS
    from realtime.endpoints.consumers.pubsub import PubSubConsumer as PubSubConsumer
    from realtime.endpoints.consumers.raw import EchoConsumer as EchoConsumer
    from realtime.endpoints.consumers.raw import ManagedConsumer as ManagedConsumer
    from realtime.endpoints.consumers.raw import SecureConsumer as SecureConsumer
    from realtime.endpoints.consumers.raw import ValidatedConsumer as ValidatedConsumer
    from realtime.endpoints.consumers.raw import WelcomeConsumer as WelcomeConsumer
    from realtime.endpoints.consumers.rpc import RpcConsumer as RpcConsumer
    from realtime.endpoints.consumers.session import SessionConsumer as SessionConsumer
    from realtime.endpoints.consumers.stream import StreamConsumer as StreamConsumer
    from realtime.endpoints.queries import live_query as live_query
    from realtime.endpoints.routing import host as host
    from realtime.endpoints.routing import websocket as websocket
    from realtime.endpoints.rpc import rpc_method as rpc_method
    from realtime.endpoints.streams import Feed as Feed
    from realtime.endpoints.streams import stream_source as stream_source
    from realtime.endpoints.tasks import node_task as node_task
    from realtime.endpoints.verbs import Call as Call
    from realtime.endpoints.verbs import Caller as Caller
    from realtime.endpoints.verbs import NoPayload as NoPayload
    from realtime.endpoints.verbs import PublishedLater as PublishedLater
    from realtime.endpoints.verbs import Verb as Verb
    from realtime.middleware.tenant import HOSTLESS_PATHS as HOSTLESS_PATHS
    from realtime.node.attempts import AttemptLimit as AttemptLimit
    from realtime.node.attempts import AttemptSlot as AttemptSlot
    from realtime.node.database_faults import log_database_fault as log_database_fault
    from realtime.node.database_probe import database_fault as database_fault
    from realtime.node.logs import LOG_LEVELS as LOG_LEVELS
    from realtime.node.logs import log_settings as log_settings
    from realtime.node.node import Node as Node
    from realtime.node.node import current_node as current_node
    from realtime.node.ports import Authenticator as Authenticator
    from realtime.node.ports import LoadedSession as LoadedSession
    from realtime.node.ports import TenantDirectory as TenantDirectory
    from realtime.node.publish_failures import PublishFailure as PublishFailure
    from realtime.protocol.close_codes import CloseCode as CloseCode
    from realtime.protocol.envelope import Reply as Reply
    from realtime.protocol.errors import ErrorCode as ErrorCode
    from realtime.protocol.errors import NotInForceError as NotInForceError
    from realtime.protocol.errors import PublishUnavailableError as PublishUnavailableError
    from realtime.protocol.errors import RealtimeError as RealtimeError
    from realtime.protocol.errors import Refusal as Refusal
    from realtime.protocol.errors import RequestError as RequestError
    from realtime.protocol.errors import forbidden as forbidden
    from realtime.protocol.errors import internal_error as internal_error
    from realtime.protocol.errors import unauthenticated as unauthenticated
    from realtime.protocol.errors import unavailable as unavailable
    from realtime.sockets.types import Application as Application
    from realtime.sockets.types import Receive as Receive
    from realtime.sockets.types import Scope as Scope
    from realtime.sockets.types import Send as Send

# The same names as above, for imports at run time. A test compares the two lists.
_HOMES = {
    "realtime.api": "apublish end_subscriptions publish publish_before_commit_unsafe publish_soon "
    "recheck refresh_tenants revoke rewrite_history",
    "realtime.asgi": "build_application",
    "realtime.conf": "RealtimeSettings",
    "realtime.control.admin_addresses": "CheckedAddresses",
    "realtime.control.bans": "require_not_banned",
    "realtime.control.face": "aannounce aban abroadcast aconnections adisconnect adrain_node ahistory alist_topics "
    "announce anodes aposition apresence aresume_tenant arevoke_user asubscribe asuspend_tenant "
    "aunban aunsubscribe ban broadcast connections disconnect drain_node history list_topics "
    "nodes position presence record_action resume_tenant revoke_user subscribe suspend_tenant unban "
    "unsubscribe",
    "realtime.control.keys": "count_keys_made_by create_key",
    "realtime.control.lists": "Page",
    "realtime.control.operators": "session_actor",
    "realtime.control.tenants": "forget_tenant",
    "realtime.core.actors": "Actor",
    "realtime.core.addresses": "TrustedProxies address_key",
    "realtime.core.attempts": "AttemptRule",
    "realtime.core.broker_url": "BrokerUrlError cache_settings channel_layer_settings is_cluster parse_broker_url "
    "parse_single_url",
    "realtime.core.history": "Publisher",
    "realtime.core.hosts": "parse_host",
    "realtime.core.identity": "CredentialKind Identity Tenant UserId",
    "realtime.core.origins": "is_own_origin parse_origin",
    "realtime.core.position": "Position",
    "realtime.core.revocations": "LOST_STAFF LOST_SUPERUSER Revocation RevocationKind",
    "realtime.core.slots": "Owner",
    "realtime.core.token_bucket": "TokenBucket retry_after_ms",
    "realtime.core.topics": "TopicRule anyone members nobody owner publishing_members staff",
    "realtime.dashboard.consumer": "LiveConsumer",
    "realtime.defaults.identity": "DjangoIdentity",
    "realtime.defaults.routing": "default_routes",
    "realtime.defaults.tenants": "OneTenant",
    "realtime.endpoints.consumers.base": "JsonConsumer RealtimeConsumer",
    "realtime.endpoints.consumers.core_verbs": "CORE_VERBS",
    "realtime.endpoints.consumers.data": "DataConsumer",
    "realtime.endpoints.consumers.pubsub": "PUBSUB_VERBS PubSubConsumer",
    "realtime.endpoints.consumers.raw": "EchoConsumer ManagedConsumer SecureConsumer ValidatedConsumer WelcomeConsumer",
    "realtime.endpoints.consumers.rpc": "RpcConsumer",
    "realtime.endpoints.consumers.session": "SessionConsumer",
    "realtime.endpoints.consumers.stream": "StreamConsumer",
    "realtime.endpoints.queries": "live_query",
    "realtime.endpoints.routing": "host websocket",
    "realtime.endpoints.rpc": "rpc_method",
    "realtime.endpoints.streams": "Feed stream_source",
    "realtime.endpoints.tasks": "node_task",
    "realtime.endpoints.verbs": "Call Caller NoPayload PublishedLater Verb",
    "realtime.middleware.tenant": "HOSTLESS_PATHS",
    "realtime.node.attempts": "AttemptLimit AttemptSlot",
    "realtime.node.database_faults": "log_database_fault",
    "realtime.node.database_probe": "database_fault",
    "realtime.node.logs": "LOG_LEVELS log_settings",
    "realtime.node.node": "Node current_node",
    "realtime.node.ports": "Authenticator LoadedSession TenantDirectory",
    "realtime.node.publish_failures": "PublishFailure",
    "realtime.protocol.close_codes": "CloseCode",
    "realtime.protocol.envelope": "Reply",
    "realtime.protocol.errors": "ErrorCode NotInForceError PublishUnavailableError RealtimeError Refusal RequestError "
    "forbidden internal_error unauthenticated unavailable",
    "realtime.sockets.types": "Application Receive Scope Send",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}
__all__ = sorted(_HOME_OF)  # noqa: PLE0605 made from the table

moved.install()


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'realtime' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
