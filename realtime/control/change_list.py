"""The list of rows in the admin."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db import DataError
from django.db.models import QuerySet
from django.http import HttpRequest


class CheckedChangeList(ChangeList):
    """A list whose filters may have values that the database cannot take: more than 64 bits, a year after 9999.

    Such a filter raises IncorrectLookupParameters. Django then shows the list without filters.
    """

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> "QuerySet[Any]":
        """Return the rows that the filters of the address select."""
        with self._blaming_filters():
            return super().get_queryset(request, exclude_parameters)

    def get_results(self, request: HttpRequest) -> None:
        """Read the rows of the page."""
        with self._blaming_filters():
            super().get_results(request)

    @contextmanager
    def _blaming_filters(self) -> Iterator[None]:
        try:
            yield
        except (OverflowError, ValueError, DataError) as error:
            # Without a filter it is a fault of ours.
            if not self.filter_params:
                raise
            raise IncorrectLookupParameters(error) from error
