"""Python's collector of cycles, set for a process that holds many connections for long."""

import gc

# Objects that are new, net, before the young ones are looked at; Python's 700 is some ten connections.
YOUNG_OBJECTS = 10_000


def calm_collector() -> None:
    """Look less often at what lives, and never again at what is there now: modules, settings, the runtime.

    A connection leaves no cycles behind, so there is little to find; the looking grows with the connections held.
    Call it once, when all is started.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
