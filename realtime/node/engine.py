"""The engine that the settings name."""

from typing import Any

from channels.layers import channel_layers
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from realtime.conf import RealtimeSettings
from realtime.core.broker_url import BrokerUrlError, channel_layer_settings
from realtime.topics.engine.combined import CombinedEngine
from realtime.topics.engine.layer_bus import LayerBus
from realtime.topics.engine.memory import Budgets, MemoryBus, MemoryEngine, MemoryHistory
from realtime.topics.engine.ports import Bus, Engine, History


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
        from realtime.topics.engine.redis_history import RedisHistory  # noqa: PLC0415 an extra
    except ImportError as error:
        raise ImproperlyConfigured(f'REDIS_URL needs the extra "redis" of this package: {error}.') from error
    try:
        history = RedisHistory(settings.REDIS_URL, topic_bytes=settings.HISTORY_BYTES_PER_TOPIC)
    except BrokerUrlError as error:
        raise ImproperlyConfigured(f"REDIS_URL: {error}") from error
    bus = LayerBus(_own_layer(settings.REDIS_URL), locate=history.client.locate)
    return history, bus, CombinedEngine(history, bus)


def _own_layer(redis_url: str) -> Any:
    """Return a channel layer for the bus alone, which flushes it after an outage of the broker.

    As CHANNEL_LAYERS configures it; without a default one there, over `redis_url`.
    """
    if "default" in channel_layers.configs:
        return channel_layers.make_backend("default")
    layer = channel_layer_settings(redis_url)
    return import_string(layer["BACKEND"])(**layer["CONFIG"])
