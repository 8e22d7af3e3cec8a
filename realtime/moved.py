"""Old import paths, which lead to the new modules for one release, with a warning. Remove them with the next release.

Other apps should import the names in `realtime.__all__`, as in `from realtime import publish`.
"""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# The start of an old path, and the new path.
MOVED = {
    "realtime.calls": "realtime.endpoints.calls",
    "realtime.connection": "realtime.sockets.connection",
    "realtime.consumers": "realtime.endpoints.consumers",
    "realtime.engine": "realtime.topics.engine",
    "realtime.frame": "realtime.sockets.outbox",
    "realtime.hub": "realtime.topics.hub",
    "realtime.live": "realtime.endpoints.sources",
    "realtime.metrics": "realtime.sockets.metrics",
    "realtime.parameters": "realtime.endpoints.parameters",
    "realtime.ports": "realtime.node.ports",
    "realtime.queries": "realtime.endpoints.queries",
    "realtime.registry": "realtime.endpoints.registry",
    "realtime.routing": "realtime.endpoints.routing",
    "realtime.rpc": "realtime.endpoints.rpc",
    "realtime.runtime": "realtime.node.node",
    "realtime.streams": "realtime.endpoints.streams",
    "realtime.types": "realtime.sockets.types",
    "realtime.verbs": "realtime.endpoints.verbs",
}
# Old paths of single modules.
MOVED_MODULES = {"realtime.consumers.json": "realtime.endpoints.consumers.base"}


class _Alias(Loader):
    """Loads the module of the new path under the old name."""

    def __init__(self, new: str) -> None:
        self._new = new

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(self._new)
        # The import system overwrites the spec with the old name.
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


class MovedFinder(MetaPathFinder):
    """Finds the old paths. It must be the first finder.

    Otherwise the other finders would load the modules below the alias of a package a second time.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of an old path, with a warning; None for any other path."""
        old = ".".join(fullname.split(".", 2)[:2])
        if old not in MOVED:
            return None
        now = MOVED_MODULES.get(fullname) or MOVED[old] + fullname.removeprefix(old)
        message = f"{fullname} has moved: import from `realtime`; code inside the package imports {now}."
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return ModuleSpec(fullname, _Alias(now))


def install() -> None:
    """Add the finder of the old paths, once."""
    if not any(isinstance(each, MovedFinder) for each in sys.meta_path):
        sys.meta_path.insert(0, MovedFinder())
