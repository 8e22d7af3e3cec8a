"""The rows that a deletion in the admin would delete. The lookup is bounded, however many they are."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import NestedObjects, quote
from django.db import router
from django.db.models import CASCADE, Exists, Model, QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.text import capfirst

# Rows of each relation that the page lists.
LISTED_MAX = 50
# Rows of each relation, and rows chosen from a list, that one request deletes. More hold up the database for
# everybody: they are not deleted here.
DELETED_MAX = 1000

# The result of ModelAdmin.get_deleted_objects: a nested list of rows, counts by model, missing permissions,
# and the rows that prevent the deletion.
Deleted = tuple[list[Any], dict[str, Any], set[str], list[str]]


class BoundedCollector(NestedObjects):
    """Django's collector, which reads LISTED_MAX + 1 rows of each relation at most."""

    def __init__(self, using: str, origin: Any, site: admin.AdminSite) -> None:
        super().__init__(using=using, origin=origin)
        self._site = site
        self._found: dict[Any, set[Any]] = self.model_objs
        self._asked: list[QuerySet[Any]] = []

    def can_fast_delete(self, objs: Any, from_field: Any = None) -> bool:
        """Return whether rows are deleted unlisted: they have no page, and no other rows depend on them."""
        if from_field is None or not isinstance(objs, type) or self._site.is_registered(objs):
            return False
        opts: Any = objs._meta  # type: ignore[attr-defined]  # noqa: SLF001
        is_link = bool(opts.auto_created)
        return from_field.remote_field.on_delete is CASCADE and not (is_link or opts.related_objects)

    def related_objects(self, related_model: Any, related_fields: Any, objs: Any) -> Any:
        """Return the first rows, with the related rows that their texts need."""
        rows = super().related_objects(related_model, related_fields, objs)
        self._asked.append(rows)
        forward = [field.name for field in related_model._meta.concrete_fields if field.many_to_one]  # noqa: SLF001
        # Not sorted, because the database would read all rows for that.
        return rows.order_by().select_related(*forward)[: LISTED_MAX + 1]

    def too_many(self) -> str:
        """Return the first kind of rows of which there are more than DELETED_MAX; empty if there is none."""
        crowded = {model for model, rows in self._found.items() if len(rows) > LISTED_MAX}
        asked = [rows for rows in self._asked if rows.model in crowded]
        if not asked:
            return ""
        # One query for all. Each asks for a row beyond the bound.
        beyond = [Exists(rows.order_by().select_related(None)[DELETED_MAX:]) for rows in asked]
        any_row = asked[0].model._base_manager.order_by().values_list(*beyond)[:1]  # noqa: SLF001
        found = zip(asked, any_row[0], strict=True)
        return next((str(rows.model._meta.verbose_name_plural) for rows, is_more in found if is_more), "")  # noqa: SLF001


def deleted_objects(
    objs: "QuerySet[Any] | Sequence[Model]", request: HttpRequest, site: admin.AdminSite
) -> Deleted:
    """Return what deleting `objs` would delete, as Django's function of this name does.

    Of each relation LISTED_MAX rows are listed. Rows that are too many for one request count as protected.
    """
    rows = list(objs[: DELETED_MAX + 1])
    if not rows:
        return [], {}, set(), []
    collector = BoundedCollector(router.db_for_write(type(rows[0])), rows, site)
    collector.collect(rows)
    page = _Page(request, site, set(rows))
    protected = _shortened(page.line(each) for each in collector.protected)
    if not protected:
        crowd = collector.too_many() if len(rows) <= DELETED_MAX else page.plural(rows[0])
        protected = [f"more than {DELETED_MAX:,} {crowd}: too many for one request"] if crowd else []
    counts = {page.plural(next(iter(found))): _count(found) for found in collector.model_objs.values()}
    return _shortened(collector.nested(page.line)), counts, page.perms_needed, protected


class _Page:
    """The lines of the page, and the permissions that they need."""

    def __init__(self, request: HttpRequest, site: admin.AdminSite, chosen: set[Model]) -> None:
        self._request = request
        self._site = site
        self._chosen = chosen
        self.perms_needed: set[str] = set()

    def line(self, row: Model) -> str:
        opts = row._meta  # noqa: SLF001
        kind = capfirst(opts.verbose_name)
        page: Any = self._site._registry.get(type(row))  # noqa: SLF001
        if page is not None and not self._may_go(page, row):
            self.perms_needed.add(str(opts.verbose_name))
        try:
            name = f"{self._site.name}:{opts.app_label}_{opts.model_name}_change"
            return format_html('{}: <a href="{}">{}</a>', kind, reverse(name, args=(quote(row.pk),)), row)
        except NoReverseMatch:
            # It has no page.
            return f"{kind}: {row}"

    def plural(self, row: Model) -> str:
        return str(row._meta.verbose_name_plural)  # noqa: SLF001

    def _may_go(self, page: Any, row: Model) -> bool:
        if row not in self._chosen and getattr(page, "is_deleted_with_others", False):
            return True
        return bool(page.has_delete_permission(self._request, row))


def _count(rows: set[Model]) -> int | str:
    return len(rows) if len(rows) <= LISTED_MAX else f"more than {LISTED_MAX}"


def _shortened(lines: Any) -> list[Any]:
    found = list(lines)
    return found if len(found) <= LISTED_MAX else [*found[:LISTED_MAX], "… and more"]
