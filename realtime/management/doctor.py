"""Tries everything that a server needs, and says in a sentence how to correct each fault."""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import time

from django.core.cache import cache
from django.core.checks import ERROR, run_checks
from django.db import DatabaseError, InterfaceError, connection

from realtime.conf import RealtimeSettings
from realtime.node.engine import build_engine
from realtime.node.migrations_missing import missing_migrations
from realtime.server.open_files import files_advice, files_allowed, files_needed
from realtime.topics.engine.ports import BusUnavailableError, EngineUnavailableError

# Seconds. A clock that is further off ends tokens and bans too early or too late.
CLOCK_MAX_S = 2.0
DEADLINE_S = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. `advice` is what to do; "" if all is well."""

    what: str
    seen: str
    advice: str = ""


def examine(settings: RealtimeSettings) -> Iterator[Finding]:
    """Try everything, one after the other, also after a fault."""
    for what, check in CHECKS.items():
        try:
            seen, advice = check(settings)
        except Exception as error:  # whatever it is, it is what the operator has to know
            seen, advice = (
                f"failed: {type(error).__name__}: {error}",
                "See the error; the server would meet it too.",
            )
        yield Finding(what, seen, advice)


def _settings(settings: RealtimeSettings) -> tuple[str, str]:
    errors = [each for each in run_checks(include_deployment_checks=False) if each.level >= ERROR]
    if errors:
        return "; ".join(str(each.msg) for each in errors), str(errors[0].hint or "Run manage.py check.")
    return "no errors", ""


def _database(settings: RealtimeSettings) -> tuple[str, str]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError) as error:
        return (
            f"unreachable: {' '.join(str(error).split())}",
            "Check DATABASE_URL, and that the database runs.",
        )
    return connection.vendor, ""


def _migrations(settings: RealtimeSettings) -> tuple[str, str]:
    if missing := missing_migrations(connection):
        return f"{missing} not applied", "Run manage.py migrate before the new code starts."
    return "all applied", ""


def _broker(settings: RealtimeSettings) -> tuple[str, str]:
    if not settings.REDIS_URL:
        return "none: one process serves alone", ""
    return asyncio.run(_try_broker(settings))


async def _try_broker(settings: RealtimeSettings) -> tuple[str, str]:
    history, bus, _ = build_engine(settings)
    group, heard = f"doctor.{secrets.token_hex(4)}", asyncio.Event()
    await bus.start(lambda name, body: heard.set() if name == group else None)
    try:
        await bus.join(group)
        async with asyncio.timeout(DEADLINE_S):
            await bus.send(group, b"", to_self=True)
            await heard.wait()
    except (BusUnavailableError, TimeoutError):
        return "no message comes back", "Check REDIS_URL, and that Redis or Valkey runs and allows pub/sub."
    finally:
        await bus.stop()
        await history.close()
    return "a message came back", ""


def _cache(settings: RealtimeSettings) -> tuple[str, str]:
    key = f"doctor-{secrets.token_hex(4)}"
    try:
        cache.set(key, 1, 5)
        found = cache.get(key)
    except Exception as error:  # each backend has errors of its own
        return (
            f"unreachable: {type(error).__name__}",
            "Check the cache: what apps of the site keep in it is lost until then.",
        )
    return (
        ("answers", "")
        if found == 1
        else ("forgets", "Check the cache: what apps of the site keep in it is lost.")
    )


def _clock(settings: RealtimeSettings) -> tuple[str, str]:
    if not settings.REDIS_URL and connection.vendor == "sqlite":
        return "only this machine's", ""
    others = dict(_other_clocks(settings))
    if not others:
        return "not compared: no other one answers", ""
    off = {name: seconds - time() for name, seconds in others.items()}
    worst = max(off.values(), key=abs, default=0.0)
    seen = ", ".join(f"{name} {seconds:+.1f} s" for name, seconds in off.items())
    return seen, f"Synchronise the clocks (NTP): they differ by {abs(worst):.1f} s." if abs(
        worst
    ) > CLOCK_MAX_S else ""


def _other_clocks(settings: RealtimeSettings) -> Iterator[tuple[str, float]]:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
            yield "database", float(cursor.fetchone()[0])
    if settings.REDIS_URL:
        try:
            yield "broker", asyncio.run(_broker_time(settings.REDIS_URL))
        except EngineUnavailableError:
            # The check of the broker reports that it is away.
            return


async def _broker_time(url: str) -> float:
    from realtime.topics.engine.broker import Broker  # noqa: PLC0415 an extra

    broker = Broker(url, deadline_s=DEADLINE_S)
    try:
        seconds, microseconds = await broker.call(0, "TIME", is_read=True)
    finally:
        await broker.close()
    return float(seconds) + float(microseconds) / 1_000_000


def _files(settings: RealtimeSettings) -> tuple[str, str]:
    return f"{files_allowed():.0f} open files allowed here", files_advice(
        files_needed(settings.MAX_CONNECTIONS)
    )


def _proxy(settings: RealtimeSettings) -> tuple[str, str]:
    proxies = ", ".join(settings.TRUSTED_PROXIES)
    if settings.HTTPS and not settings.TRUSTED_PROXIES:
        advice = "Name the proxy in REALTIME_TRUSTED_PROXIES: else all its clients count as one address."
        return "HTTPS is on, and no proxy is trusted", advice
    if "*" in settings.TRUSTED_PROXIES:
        return "everyone is trusted", "Name the proxies: else any client can claim any address."
    return f"trusted: {proxies}" if proxies else "none trusted: clients connect directly", ""


CHECKS: dict[str, Callable[[RealtimeSettings], tuple[str, str]]] = {
    "settings": _settings,
    "database": _database,
    "migrations": _migrations,
    "broker": _broker,
    "cache": _cache,
    "clock": _clock,
    "files": _files,
    "proxy": _proxy,
}
