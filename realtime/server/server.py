"""Uvicorn, set up for this package: its protocol class, one log."""

import signal
import sys

import uvicorn

from realtime.conf import RealtimeSettings
from realtime.core.addresses import TrustedProxies
from realtime.protocol.codec import RAW_MESSAGE_MAX_BYTES

# Twice what any endpoint takes, so that what is somewhat too large is answered by the endpoint, with its reason.
SERVER_MESSAGE_MAX_BYTES = 2 * RAW_MESSAGE_MAX_BYTES
PROTOCOL = "realtime.server.protocol:WebSocketProtocol"
COMPRESSING_PROTOCOL = "realtime.server.compression:CompressingProtocol"
BACKLOG = 4096
# How long a connection may stay between two requests of plain HTTP.
KEEP_ALIVE_S = 5
# How long handlers may take to end, after the drain, before they are cancelled.
GRACE_S = 5


def serve(
    application: str,
    settings: RealtimeSettings,
    *,
    host: str,
    port: int,
    workers: int,
    trusted_proxies: TrustedProxies,
) -> None:
    """Serve the ASGI application at an import path until SIGTERM (drains) or SIGINT (ends at once).

    `trusted_proxies`: whose X-Forwarded-For and X-Forwarded-Proto are believed.
    """
    proxies = trusted_proxies.spelled_out()
    # Having ended in good order, uvicorn raises the signal once more; that is no failure.
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(0))
    uvicorn.run(
        application,
        host=host,
        port=port,
        workers=workers,
        loop="auto",
        http="realtime.server.http:HttpProtocol",
        ws=COMPRESSING_PROTOCOL if settings.COMPRESSION else PROTOCOL,
        ws_max_size=SERVER_MESSAGE_MAX_BYTES,
        # Uvicorn's own, with a window for each socket; ours is chosen with the class.
        ws_per_message_deflate=False,
        ws_ping_interval=settings.PING_INTERVAL_S or None,
        ws_ping_timeout=settings.PING_TIMEOUT_S or None,
        backlog=BACKLOG,
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=",".join(proxies),
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
