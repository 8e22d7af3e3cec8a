"""The sockets as AsyncAPI 3: the document as JSON, and a page for people. Needs no REST framework."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from realtime.conf import current_settings
from realtime.endpoints.asyncapi import SiteDocument
from realtime.node.node import current_node
from realtime.rest.methods import only_read


@only_read
def asyncapi_json(request: HttpRequest) -> HttpResponse:
    """Return the document for the host of the request."""
    return JsonResponse(_document(request))


@only_read
def asyncapi_page(request: HttpRequest) -> HttpResponse:
    """Show its channels and their messages."""
    document = _document(request)
    channels = [
        {**channel, "operations": list(_operations(document, key))}
        for key, channel in document["channels"].items()
    ]
    return render(request, "realtime/asyncapi.html", {"info": document["info"], "channels": channels})


def _document(request: HttpRequest) -> dict[str, Any]:
    node = current_node()
    documents = node.shared(SiteDocument, lambda: SiteDocument(current_settings()))
    return documents.of(request.get_host(), is_secure=request.is_secure())


def _operations(document: dict[str, Any], channel: str) -> Any:
    """Return the operations of a channel, each with the names of its messages."""
    for operation in document["operations"].values():
        if operation["channel"]["$ref"] == f"#/channels/{channel}":
            sent = [_message(document, each) for each in operation["messages"]]
            replies = [_message(document, each) for each in operation.get("reply", {}).get("messages", ())]
            yield {
                "action": operation["action"],
                "summary": operation["summary"],
                "sent": sent,
                "replies": replies,
            }


def _message(document: dict[str, Any], reference: dict[str, str]) -> dict[str, Any]:
    _, _, channel, _, name = reference["$ref"].split("/")
    key = document["channels"][channel]["messages"][name]["$ref"].rpartition("/")[2]
    message: dict[str, Any] = document["components"]["messages"][key]
    return message
