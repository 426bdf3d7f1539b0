"""
Find a callable of the user's by its name, `module:callable`, also in a module that lies beside the pipeline file.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metriclake._errors import MetriclakeError

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def named_callable(name: str, folder: Path) -> Callable[..., Any]:
    """
    Import it, also from `folder`; raises MetriclakeError where it cannot be used.
    """
    if not _NAME.fullmatch(name):
        raise MetriclakeError("must be `module:callable`, such as `crm.tenants:look_up`")
    module, _, path = name.partition(":")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:  # noqa: BLE001 - user code runs at import: whatever it is, it is a fault of the file
        raise MetriclakeError(f"the module `{module}` cannot be imported ({type(error).__name__}: {error})") from None
    for part in path.split("."):
        if not hasattr(found, part):
            raise MetriclakeError(f"the module `{module}` has no `{path}`")
        found = getattr(found, part)
    if not callable(found):
        raise MetriclakeError(f"`{name}` is not callable")
    return found  # type: ignore[no-any-return] # checked above
