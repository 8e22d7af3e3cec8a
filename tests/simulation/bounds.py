"""The project's bounds, made small: small worlds come up against them."""

from typing import Any

import realtime.node.joining
import realtime.topics.fanout
import realtime.topics.local_topic
import realtime.topics.reads
from realtime.topics.hub import Hub
from tests.simulation.plan import Plan


def shrink_bounds(plan: Plan) -> None:
    """Set the bounds of the plan, for all nodes of this process."""
    replace(realtime.topics.fanout, "CHUNK", plan.fanout_chunk)
    replace(realtime.topics.fanout, "SLICE_S", plan.slice_s)
    replace(realtime.topics.reads, "PAGE_MAX", plan.page_max)
    replace(realtime.node.joining, "CATCH_UP_READS_MAX", plan.reads_max)
    replace(realtime.node.joining, "CATCH_UP_MAX_BYTES", plan.catch_up_bytes)
    replace(realtime.topics.local_topic, "TAIL_MAX_BYTES", plan.tail_bytes)
    defaults = Hub.__init__.__kwdefaults__
    assert defaults is not None
    assert "cache_bytes" in defaults
    defaults["cache_bytes"] = plan.cache_bytes


def replace(owner: Any, name: str, value: Any) -> None:
    """Set an attribute that must exist."""
    getattr(owner, name)
    setattr(owner, name, value)
