"""The sockets described: as AsyncAPI 3, from the declarations, for the host that asks."""

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

HOSTS = {"acme": "acme.localhost", "globex": "globex.localhost"}
pytestmark = pytest.mark.django_db


@pytest.fixture
def document(acme_host: str) -> dict[str, Any]:
    return described(acme_host)


@pytest.fixture
def acme_host(transactional_db: None) -> Iterator[str]:
    from accounts.models import Domain, Tenant  # noqa: PLC0415
    from realtime import refresh_tenants  # noqa: PLC0415

    for slug, host in HOSTS.items():
        Domain.objects.create(tenant=Tenant.objects.create(slug=slug, name=slug), host=host)
    refresh_tenants()
    yield HOSTS["acme"]
    Tenant.objects.all().delete()
    refresh_tenants()


def described(host: str) -> dict[str, Any]:
    found: dict[str, Any] = Client(headers={"host": host}).get("/api/asyncapi/").json()
    return found


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def found_at(document: dict[str, Any], reference: str) -> Any:
    value: Any = document
    for part in reference.removeprefix("#/").split("/"):
        value = value[part]
    return value


def test_every_route_of_the_host_is_a_channel(document: dict[str, Any]) -> None:
    assert document["asyncapi"] == "3.0.0"
    assert document["servers"] == {"site": {"host": HOSTS["acme"], "protocol": "ws"}}
    addresses = {each["address"] for each in document["channels"].values()}
    assert {"/ws/", "/ws/pubsub/", "/ws/rpc/", "/ws/chat/", "/ws/lobby/"} <= addresses
    assert "/ws/vault/" not in addresses
    others = {each["address"] for each in described(HOSTS["globex"])["channels"].values()}
    assert "/ws/vault/" in others
    assert "/ws/lobby/" not in others


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = list(references(document))
    assert len(found) > 100
    for each in found:
        assert found_at(document, each), each


def test_verbs_and_methods_are_operations_with_replies(document: dict[str, Any]) -> None:
    operation = document["operations"]["ws_rpc.get_user"]
    assert operation["action"] == "receive"
    [request] = [found_at(document, each["$ref"]) for each in operation["messages"]]
    message = found_at(document, request["$ref"])
    assert message["payload"]["properties"]["type"] == {"const": "get_user"}
    schema = found_at(document, message["payload"]["properties"]["payload"]["$ref"])
    assert schema["required"] == ["user_id"]
    replies = [
        found_at(document, found_at(document, each["$ref"])["$ref"])
        for each in operation["reply"]["messages"]
    ]
    assert [each["name"] for each in replies] == ["user_data", "error"]


def test_there_is_a_page_for_people(acme_host: str) -> None:
    page = Client(headers={"host": acme_host}).get("/api/asyncapi/page/")
    assert page.status_code == 200
    text = page.content.decode()
    assert "/ws/pubsub/" in text
    assert "subscribed" in text


def test_the_command_prints_the_same(document: dict[str, Any]) -> None:
    out = StringIO()
    call_command("asyncapi", host=HOSTS["acme"], stdout=out)
    assert json.loads(out.getvalue()) == document


METHODS = ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]


@pytest.mark.parametrize("method", METHODS)
def test_errors_of_every_method_have_the_form_of_the_http_interface(acme_host: str, method: str) -> None:
    """They are no page about a form that another site has sent."""
    client = Client(enforce_csrf_checks=True, headers={"host": acme_host})
    expected = {
        "/api/asyncapi/": (405, "method_not_allowed"),
        "/api/asyncapi/page/": (405, "method_not_allowed"),
        "/api/docs/": (405, "method_not_allowed"),
        "/api/nothing/": (404, "not_found"),
        "/ws/nothing/": (404, "not_found"),
    }
    for path, (status, code) in expected.items():
        answer = client.generic(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), path
        if status == 405:
            assert answer["Allow"] == "GET, HEAD"
