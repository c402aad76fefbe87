"""Tables whose columns are the fields of a record."""

from typing import Any, get_args, get_type_hints

import peewee

_FIELDS = {
    int: peewee.IntegerField,
    float: peewee.FloatField,
    str: peewee.TextField,
    bytes: peewee.BlobField,
    bool: peewee.BooleanField,
}


def columns_of(record: Any) -> dict[str, peewee.Field]:
    """A column for each field of a record, by its type, whether it may be None, and its default. ``id`` is the key.

    Texts in a tuple are one text in the table.
    """
    columns = {}
    defaults = getattr(record, "_field_defaults", {})
    for name, hint in get_type_hints(record).items():
        kinds = get_args(hint) or (hint,)
        columns[name] = _FIELDS[kinds[0]](primary_key=name == "id", null=type(None) in kinds, default=defaults.get(name))
    return columns


class Model(peewee.Model):
    class Meta:
        legacy_table_names = False
