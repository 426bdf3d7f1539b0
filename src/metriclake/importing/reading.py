"""
Decide what kind of text a template is: JSON, YAML as CloudFormation reads it, or as the Serverless Framework does.
"""

from __future__ import annotations

import re

from metriclake.importing.json_reading import read_json
from metriclake.importing.limits import MOST_BYTES, refusal, unsound
from metriclake.importing.node import Node
from metriclake.importing.yaml_reading import read_yaml

_JSON = re.compile(r'[ \t\r\n]*(?:\{[ \t\r\n]*["}]|\[)')
"""How JSON begins; YAML hardly ever does."""


def read(text: str, name: str) -> Node:
    """
    Return the values of a template's text; `name` is the file's, for messages.

    Raises:
        InvalidTemplate: It is neither JSON nor YAML, or goes beyond the limits; the fault names the line.

    """
    text = text.removeprefix("\ufeff")
    _check_characters(text, name)
    if _JSON.match(text):
        return read_json(text, name)
    root = read_yaml(text, name, core=False)
    return read_yaml(text, name, core=True) if is_serverless(root) else root


def is_serverless(root: Node) -> bool:
    """
    Tell whether this is a serverless.yml: a service with a provider or functions, and no resources of its own.
    """
    return root.get("service") is not None and root.get("Resources") is None


def _check_characters(text: str, name: str) -> None:
    wrong = unsound(text)
    if wrong:
        raise refusal(name, None, wrong)
    if len(text.encode()) > MOST_BYTES:
        raise refusal(name, None, f"is larger than {MOST_BYTES:,} bytes, which is CloudFormation's limit")
