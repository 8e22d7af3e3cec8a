"""Rooms, memberships and messages in the admin. Staff see those of their own tenant."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.db.models import ForeignKey, Model, QuerySet
from django.forms import ModelChoiceField, ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _

from accounts.admin_links import linked
from accounts.admin_scope import BoundedFilter, RecordAdmin, TenantScopedAdmin, rows_of
from accounts.models import Membership, User
from chat import services
from chat.models import Message, Room, RoomMembership
from chat.payloads import InRoom, RoomUpdate
from realtime import Publisher, RequestError, Tenant


class ServiceForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A form whose row is written by a service. `refused` is what the service said to these values."""

    refused = ""

    def clean(self) -> dict[str, Any]:
        """Refuse the values that the service refused."""
        if self.refused:
            raise forms.ValidationError(self.refused)
        return super().clean() or {}


class RoomMembershipForm(ServiceForm):
    """A user to be added to a room."""

    class Meta:
        model = RoomMembership
        fields = ("room", "user")

    def clean(self) -> dict[str, Any]:
        """Refuse a user who is not a member of the room's tenant."""
        values = super().clean()
        room, user = values.get("room"), values.get("user")
        if room and room.archived_at:
            raise forms.ValidationError({"room": _("This room is archived.")})
        if room and room.direct_key:
            raise forms.ValidationError({"room": _("The people of a direct room never change.")})
        if room and user and not Membership.objects.filter(tenant=room.tenant_id, user=user).exists():
            raise forms.ValidationError({"user": _("This user is not a member of the room's tenant.")})
        return values


class ServiceAdmin(TenantScopedAdmin):
    """Rows that are written by services. These lock, so they may refuse what a form or a page allowed."""

    list_select_related: ClassVar[tuple[str, ...]] = ()

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show a refusal with the form as it was filled in."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except RequestError as error:
            request.refused = error.message  # type: ignore[attr-defined]  # for `get_form`
            return super().changeform_view(request, *args, **kwargs)

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Return the class of the form. It is a new one for each request."""
        form: Any = super().get_form(request, *args, **kwargs)
        form.refused = getattr(request, "refused", "")
        return form

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Look at the row again if others have changed or deleted it meanwhile."""
        try:
            return super().delete_view(request, *args, **kwargs)
        except RequestError:
            return super().delete_view(request, *args, **kwargs)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Delete all of the chosen rows, or none if a service refuses one. Django logs deletions before they are done."""
        if request.method != "POST":
            return super().changelist_view(request, *args, **kwargs)
        try:
            with transaction.atomic():
                return super().changelist_view(request, *args, **kwargs)
        except RequestError as error:
            self.message_user(request, error.message, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete several rows. Raises RequestError, which names the row that a service refuses."""
        for row in queryset.select_related(*self.list_select_related):
            try:
                self.delete_model(request, row)
            except RequestError as error:
                raise RequestError(error.code, f"{row}: {error.message}") from error


@admin.register(Room)
class RoomAdmin(ServiceAdmin):
    """Rooms. A room with messages is archived, not deleted. A direct room never changes."""

    form = ServiceForm
    fields = ("tenant", "name", "is_public", "archived_at")
    list_display = ("name", linked("tenant"), "is_public", "last_seq", "created_at", "archived_at")
    list_filter = ("is_public", ("tenant", BoundedFilter))
    link_filters = ("tenant",)
    list_select_related = ("tenant",)
    search_fields = ("name",)
    autocomplete_fields = ("tenant",)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Make the tenant of an existing room read-only."""
        return () if obj is None else ("tenant",)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse changes of a direct room: if it were public, everybody could read it."""
        is_direct = isinstance(obj, Room) and obj.direct_key is not None
        return not is_direct and super().has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Room, form: "ModelForm[Any]", change: bool) -> None:
        """Make or change a room as the chat does, and tell those who see it."""
        # Not `obj.save()`: it would write the numbers of messages as they were when the room was read.
        is_archived = obj.archived_at is not None
        new = RoomUpdate(obj.pk or 0, obj.name, is_public=obj.is_public, archived=is_archived)
        if change:
            services.room_amend(_tenant(obj), _publisher(request.user), new)
        else:
            obj.pk = services.room_found(_tenant(obj), _publisher(request.user), new)

    def delete_model(self, request: HttpRequest, obj: Room) -> None:
        """Delete a room. Those who see it are told as if it was archived."""
        if obj.archived_at is None and obj.direct_key is None:
            services.room_amend(_tenant(obj), _publisher(request.user), RoomUpdate(obj.pk, archived=True))
        super().delete_model(request, obj)


@admin.register(RoomMembership)
class RoomMembershipAdmin(ServiceAdmin):
    """Memberships of rooms. Users are added to private rooms here.

    Deleting a membership ends the user's subscriptions at once.
    """

    tenant_path = "room__tenant"
    # With a room or a user its memberships go, those of direct rooms too.
    is_deleted_with_others = True
    form = RoomMembershipForm
    list_display = ("id", linked("user"), linked("room"), "read_seq", "joined_at")
    list_filter = (("room__tenant", BoundedFilter),)
    link_filters = ("user", "room")
    # No column has an index to sort by; neither have those of messages.
    sortable_by = ()
    list_select_related = ("user", "room__tenant")
    autocomplete_fields = ("user", "room")
    search_fields = ("user__username", "room__name")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Always False: a membership is only added or deleted."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse to take somebody out of a direct room."""
        is_direct = isinstance(obj, RoomMembership) and obj.room.direct_key is not None
        return not is_direct and super().has_delete_permission(request, obj)

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> "ModelChoiceField[Any] | None":
        """Offer staff only the rooms and users of their own tenant."""
        if db_field.name == "room":
            kwargs["queryset"] = rows_of(request, Room.objects.all(), "tenant")
        else:
            kwargs["queryset"] = rows_of(request, User.objects.all(), "memberships__tenant")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(
        self, request: HttpRequest, obj: RoomMembership, form: "ModelForm[Any]", change: bool
    ) -> None:
        """Add the user to the room and announce it."""
        services.room_admit(_tenant(obj.room), _publisher(obj.user), obj.room_id)
        obj.pk = RoomMembership.objects.get(room=obj.room, user=obj.user).pk

    def delete_model(self, request: HttpRequest, obj: RoomMembership) -> None:
        """Remove the user from the room and announce it, unless the room is archived."""
        if obj.room.archived_at:
            super().delete_model(request, obj)
            return
        services.room_leave(_tenant(obj.room), _publisher(obj.user), InRoom(obj.room_id))


@admin.register(Message)
class MessageAdmin(RecordAdmin, TenantScopedAdmin):
    """Messages, read-only: the numbers of a room's messages must not have gaps."""

    list_display = ("seq", linked("room"), linked("author"), "text", "sent_at")
    list_filter = (("tenant", BoundedFilter),)
    link_filters = ("room", "author", "tenant")
    sortable_by = ()
    list_select_related = ("room", "author")
    search_fields = ("text", "author__username")


def _tenant(room: Room) -> Tenant:
    return Tenant(room.tenant_id, room.tenant.slug, room.tenant.name)


def _publisher(user: User | AbstractBaseUser | AnonymousUser) -> Publisher:
    return Publisher(user.pk or 0, user.get_username())
