"""The engine that the settings name."""

from django.core.exceptions import ImproperlyConfigured

from realtime.conf import RealtimeSettings
from realtime.core.broker_url import BrokerUrlError
from realtime.topics.engine.combined import CombinedEngine
from realtime.topics.engine.memory import Budgets, MemoryBus, MemoryEngine, MemoryHistory
from realtime.topics.engine.ports import Attempts, Bus, Engine, History


def build_attempts(history: History) -> Attempts | None:
    """Return the counters at the broker of this history; None if it has none."""
    broker = getattr(history, "broker", None)
    if broker is None:
        return None
    from realtime.topics.engine.broker_attempts import BrokerAttempts  # noqa: PLC0415 an extra

    return BrokerAttempts(broker)


def build_engine(settings: RealtimeSettings) -> tuple[History, Bus, Engine]:
    """Return the history and the bus, as configured, and the engine over both."""
    if not settings.REDIS_URL:
        budgets = Budgets(
            topic_bytes=settings.HISTORY_BYTES_PER_TOPIC,
            tenant_bytes=settings.HISTORY_BYTES_PER_TENANT,
            process_bytes=settings.HISTORY_BYTES_PER_PROCESS,
            tenant_topics=settings.MAX_TOPICS_PER_TENANT,
            process_topics=settings.MAX_TOPICS,
        )
        memory = MemoryHistory(budgets)
        return memory, MemoryBus(), MemoryEngine(memory)
    try:
        from realtime.topics.engine.broker import Broker  # noqa: PLC0415 an extra
        from realtime.topics.engine.broker_bus import BrokerBus  # noqa: PLC0415
        from realtime.topics.engine.redis_history import RedisHistory  # noqa: PLC0415
    except ImportError as error:
        raise ImproperlyConfigured(f'REDIS_URL needs the extra "redis" of this package: {error}.') from error
    try:
        broker = Broker(settings.REDIS_URL)
    except BrokerUrlError as error:
        raise ImproperlyConfigured(f"REDIS_URL: {error}") from error
    history = RedisHistory(broker, topic_bytes=settings.HISTORY_BYTES_PER_TOPIC)
    bus = BrokerBus(broker)
    return history, bus, CombinedEngine(history, bus)
