"""Rooms, memberships and messages in the admin. Staff see those of their own tenant."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db.models import ForeignKey, Model, QuerySet
from django.forms import ModelChoiceField, ModelForm
from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts.admin_links import linked
from accounts.admin_scope import BoundedFilter, RecordAdmin, TenantScopedAdmin, rows_of
from accounts.models import Membership, User
from chat import announcements, services
from chat.models import Message, Room, RoomMembership
from chat.payloads import InRoom, RoomUpdate
from chat.selectors import room_as_admin
from chat.text import clean_room_name, room_name_key
from realtime import Publisher, RequestError, Tenant


class RoomForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A room whose name follows the rules of the chat."""

    class Meta:
        model = Room
        fields = ("tenant", "name", "is_public", "archived_at")

    def clean(self) -> dict[str, Any]:
        """Refuse the name of another open room of the tenant, and one open room too many."""
        values: dict[str, Any] = super().clean() or {}
        try:
            values["name"] = clean_room_name(values.get("name", ""))
        except RequestError as error:
            raise forms.ValidationError({"name": error.message}) from None
        room: Room = self.instance
        room.name_key = room_name_key(values["name"])
        tenant = values.get("tenant", room.tenant if room.pk else None)
        namesakes = Room.objects.filter(tenant=tenant, name_key=room.name_key, archived_at__isnull=True)
        if not values.get("archived_at") and namesakes.exclude(pk=room.pk).exists():
            raise forms.ValidationError({"name": _("A room of this name exists already.")})
        if room.archived_at and not values.get("archived_at"):
            try:
                services.require_space(room.tenant_id)
            except RequestError as error:
                raise forms.ValidationError({"archived_at": error.message}) from None
        return values


class RoomMembershipForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A user to be added to a room."""

    class Meta:
        model = RoomMembership
        fields = ("room", "user")

    def clean(self) -> dict[str, Any]:
        """Refuse a user who is not a member of the room's tenant."""
        values: dict[str, Any] = super().clean() or {}
        room, user = values.get("room"), values.get("user")
        if room and room.archived_at:
            raise forms.ValidationError({"room": _("This room is archived.")})
        if room and room.direct_key:
            raise forms.ValidationError({"room": _("The people of a direct room never change.")})
        if room and user and not Membership.objects.filter(tenant=room.tenant_id, user=user).exists():
            raise forms.ValidationError({"user": _("This user is not a member of the room's tenant.")})
        return values


@admin.register(Room)
class RoomAdmin(TenantScopedAdmin):
    """Rooms. A room with messages is archived, not deleted. A direct room never changes."""

    form = RoomForm
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
        if not change:
            obj.last_rev = 1
            super().save_model(request, obj, form, change)
            if obj.is_public and obj.archived_at is None:
                announcements.announce_public(_tenant(obj), _publisher(request.user), room_as_admin(obj))
            return
        # Not `obj.save()`: it would write the numbers of messages as they were when the room was read.
        is_archived = obj.archived_at is not None
        new = RoomUpdate(obj.pk, obj.name, is_public=obj.is_public, archived=is_archived)
        services.room_amend(_tenant(obj), _publisher(request.user), new)

    def delete_model(self, request: HttpRequest, obj: Room) -> None:
        """Delete a room. Those who see it are told as if it was archived."""
        if obj.archived_at is None and obj.direct_key is None:
            services.room_amend(_tenant(obj), _publisher(request.user), RoomUpdate(obj.pk, archived=True))
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Room]) -> None:
        """Delete several rooms."""
        for room in queryset.select_related("tenant"):
            self.delete_model(request, room)


@admin.register(RoomMembership)
class RoomMembershipAdmin(TenantScopedAdmin):
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
    list_select_related = ("user", "room")
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

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[RoomMembership]) -> None:
        """Remove several users from rooms."""
        for membership in queryset.select_related("room__tenant", "user"):
            self.delete_model(request, membership)


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
