"""Fill in file templates."""

from __future__ import annotations

import re
from collections.abc import Mapping


def filled(template: str, values: Mapping[str, str]) -> str:
    """Return a template with its {{names}} replaced by values.

    Raises:
        KeyError: a name has no value.

    """
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template)
