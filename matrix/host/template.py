"""Files that are made of a template."""

from __future__ import annotations

import re
from collections.abc import Mapping


def filled(template: str, values: Mapping[str, str]) -> str:
    """A template with its {{names}} replaced.

    Raises:
        KeyError: it has a name that no value is given for.

    """
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template)
