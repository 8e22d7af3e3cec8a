"""Errors in groups: counted, bounded, and merged over nodes."""

from realtime.core.error_groups import ErrorGroup, ErrorGroups, Kind, merged


def kind(code: str = "timeout", verb: str = "query", tenant: str = "acme") -> Kind:
    return code, verb, "", tenant, "/ws/data/"


def test_equal_errors_are_one_group_with_the_last_connection() -> None:
    groups = ErrorGroups()
    for second in range(3):
        groups.add(kind(), f"c{second}", float(second))
    groups.add(kind("internal"), "c9", 9.0)
    assert [(each.code, each.count) for each in groups.groups()] == [("internal", 1), ("timeout", 3)]
    last = groups.groups()[1]
    assert (last.first_s, last.last_s, last.connection_id) == (0.0, 2.0, "c2")


def test_a_flood_pushes_nothing_out_and_the_oldest_kind_goes_first() -> None:
    groups = ErrorGroups(groups_max=2)
    groups.add(kind("internal"), "c", 0.0)
    for second in range(100):
        groups.add(kind(), "c", second)
    assert {each.code for each in groups.groups()} == {"internal", "timeout"}
    groups.add(kind("conflict"), "c", 200.0)
    assert [each.code for each in groups.groups()] == ["conflict", "timeout"]


def test_a_tenant_sees_its_own() -> None:
    groups = ErrorGroups()
    groups.add(kind(tenant="acme"), "c", 0.0)
    groups.add(kind(tenant="globex"), "c", 0.0)
    assert [each.tenant for each in groups.groups("acme")] == ["acme"]


def test_groups_of_several_nodes_are_one_list() -> None:
    one = ErrorGroup(*kind(), count=2, first_s=1.0, last_s=5.0, connection_id="a")
    two = ErrorGroup(*kind(), count=3, first_s=0.5, last_s=9.0, connection_id="b")
    other = ErrorGroup(*kind("internal"), count=1, first_s=7.0, last_s=7.0, connection_id="c")
    result = merged([one, two, other])
    assert [(each.code, each.count) for each in result] == [("timeout", 5), ("internal", 1)]
    assert (result[0].first_s, result[0].last_s, result[0].connection_id) == (0.5, 9.0, "b")
    assert len(merged([one, other], limit=1)) == 1
