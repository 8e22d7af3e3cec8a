"""Finds tenants and users by a part of their names, for the live page. The site looks them up."""

from collections.abc import Mapping
from typing import Any

from realtime.node import node as nodes

FOUND_MAX = 50

Rows = list[Mapping[str, Any]]


def find_tenants(text: str) -> Rows:
    """Return the first tenants with `text` in slug or name, suspended ones too: `{slug, name, is_active}`."""
    search = getattr(nodes.current_node().directory, "search_tenants", None)
    return [] if search is None else list(search(text, FOUND_MAX))


def find_users(text: str, tenant: str | None) -> Rows:
    """Return the first users with `text` in their name, of `tenant` if one is given: `{id, username}`."""
    search = getattr(nodes.current_node().authenticator, "search_users", None)
    return [] if search is None else list(search(text, tenant, FOUND_MAX))
