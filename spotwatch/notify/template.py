"""JSON for a webhook, out of a template that is JSON itself.

Placeholders stand in texts: ``"$event of $instance_id"``. A text that is nothing but one placeholder becomes its value,
with its type: a number, a list, null. So whatever a value holds, the result is JSON; nothing has to be escaped.
"""

import json
import string
from collections.abc import Mapping
from typing import Any

from spotwatch.core.errors import InputError
from spotwatch.core.notification import FIELDS, Notification


class Template:
    """A template that can be filled in.

    Args:
        text: the JSON.
        name: for messages, where it comes from.

    Raises:
        InputError: it is no JSON, or has placeholders that mean nothing.
    """

    def __init__(self, text: str, name: str) -> None:
        try:
            self._document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{name} is no JSON: {error}", hint='placeholders stand in texts: "$event"') from None
        try:
            self.fill(Notification("trial"))
        except KeyError as error:
            raise InputError(
                f"{name}: there is no ${error.args[0]}", hint=f"known are {', '.join(f'${field}' for field in FIELDS)}"
            ) from None
        except ValueError as error:
            raise InputError(f"{name}: {error}", hint="write $$ for a dollar sign") from None

    def fill(self, notification: Notification) -> Any:
        """The document with the values in place of their placeholders."""
        return _filled(self._document, notification.to_json())


def _filled(part: Any, values: Mapping[str, Any]) -> Any:
    match part:
        case dict():
            return {key: _filled(value, values) for key, value in part.items()}
        case list():
            return [_filled(item, values) for item in part]
        case str():
            return _filled_text(part, values)
        case _:
            return part


def _filled_text(text: str, values: Mapping[str, Any]) -> Any:
    template = string.Template(text)
    for form in ("$%s", "${%s}"):
        alone = next((name for name in values if text == form % name), None)
        if alone is not None:
            return values[alone]
    return template.substitute({name: _in_text(value) for name, value in values.items()})


def _in_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
