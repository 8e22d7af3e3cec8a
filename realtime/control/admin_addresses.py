"""Addresses and choices in the admin: a value that no field can hold is answered as a wrong one, and not with 500."""

from typing import TYPE_CHECKING, Any

from django.core.exceptions import BadRequest, FieldDoesNotExist, ValidationError
from django.http import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
    from django.db.models import Model, QuerySet

    _Base = ModelAdmin[Any]
else:
    _Base = object


# Words of a search that are looked for; more are ignored. Each is compared with several columns of every row, and SQLite
# takes 1,000 nested conditions.
SEARCH_WORDS_MAX = 10


class CheckedAddresses(_Base):
    """A ModelAdmin whose lists and forms take any address, and whose actions take any choice of rows."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the class of the list."""
        # Imported here: the admin's modules need the apps.
        from realtime.control.change_list import CheckedChangeList  # noqa: PLC0415

        return CheckedChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> "tuple[QuerySet[Any], bool]":
        """Return the rows with the first SEARCH_WORDS_MAX words, and whether some may be in it twice."""
        words = " ".join(search_term.split()[:SEARCH_WORDS_MAX])
        return super().get_search_results(request, queryset, words)

    def response_action(
        self, request: HttpRequest, queryset: "QuerySet[Any]", *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        """Carry out an action on the chosen rows. Raises BadRequest for a key that no row can have."""
        # The name of the boxes in Django's `helpers`, whose import needs the apps.
        chosen = request.POST.getlist("_selected_action")
        if not all(_may_be(self.model._meta.pk, key) for key in chosen):  # noqa: SLF001 Django's public name for it
            raise BadRequest("No row has this key.")
        return super().response_action(request, queryset, *args, **kwargs)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show a form or take it. Raises BadRequest for a key that no row can have: a search field looks it up."""
        inlines = self.get_inline_instances(request) if request.method == "POST" else []
        for shown in (self, *inlines):
            for name in shown.get_autocomplete_fields(request):
                for posted, keys in request.POST.lists():
                    # A field of a row within the form is "memberships-0-tenant".
                    is_asked = posted == name if shown is self else posted.endswith(f"-{name}")
                    if is_asked and not _may_have(shown.model, name, list(filter(None, keys))):
                        raise BadRequest("No row has this key.")
        return super().changeform_view(request, *args, **kwargs)

    def get_changeform_initial_data(self, request: HttpRequest) -> Any:
        """Return the first values of a new row's form, without keys that no row can have."""
        given = super().get_changeform_initial_data(request)
        return {name: value for name, value in given.items() if _may_have(self.model, name, value)}


def _may_have(model: "type[Model]", name: str, value: Any) -> bool:
    try:
        field: Any = model._meta.get_field(name)  # noqa: SLF001 Django's public name for it
    except FieldDoesNotExist:
        return True
    if not field.is_relation:
        return True
    return all(_may_be(field.target_field, key) for key in (value if isinstance(value, list) else [value]))


def _may_be(field: Any, key: Any) -> bool:
    try:
        field.clean(key, None)
    except ValidationError:
        return False
    return True
