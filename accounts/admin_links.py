"""Links between the lists and pages of the admin."""

from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import capfirst

# The text of a column if there is no row.
NOTHING = "-"


class Link(NamedTuple):
    """A list of rows that belong to the row of a page."""

    text: str
    url: str


def linked(field: str) -> Callable[[Model], str]:
    """Return a column that shows the row in the foreign key `field` as a link to its page.

    Lists are not sorted by it: that would read all rows of both tables.
    """

    @admin.display(description=field.replace("_", " "))
    def column(row: Model) -> str:
        target: Model | None = getattr(row, field)
        return NOTHING if target is None else page_link(target, str(target))

    column.__name__ = field
    return column


def page_link(row: Model, text: str) -> str:
    """Return a link to the page of `row`."""
    return format_html(
        '<a href="{}">{}</a>', reverse(_name(type(row), "change"), args=(quote(row.pk),)), text
    )


def related_links(site: admin.AdminSite, request: HttpRequest, row: Model) -> list[Link]:
    """Return links to the lists of rows that point to `row`.

    Offered are lists that the user may see, and that name the foreign key in `link_filters`.
    """
    return [
        Link(
            str(capfirst(other._meta.verbose_name_plural)),  # noqa: SLF001 Django's public name for it
            f"{reverse(_name(other, 'changelist'))}?{urlencode({f'{field}__id__exact': row.pk})}",
        )
        for other, field in _pointing_to(row)
        if _is_offered(site, request, other, field)
    ]


def _pointing_to(row: Model) -> list[tuple[type[Model], str]]:
    # Hidden relations too, which have no name on this side, such as a message's tenant.
    relations = row._meta.get_fields(include_hidden=True)  # noqa: SLF001
    return [
        (each.related_model, each.field.name)  # type: ignore[union-attr]  # a relation
        for each in relations
        if each.auto_created and each.one_to_many and isinstance(each.related_model, type)
    ]


def _is_offered(site: admin.AdminSite, request: HttpRequest, model: type[Model], field: str) -> bool:
    page: Any = site._registry.get(model)  # noqa: SLF001 get_model_admin() raises for models without a page
    return (
        page is not None
        and field in getattr(page, "link_filters", ())
        and bool(page.has_view_permission(request))
    )


def _name(model: type[Model], page: str) -> str:
    return f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"  # noqa: SLF001
