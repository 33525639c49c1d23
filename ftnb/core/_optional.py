"""The one gate through which optional packages are imported."""

from __future__ import annotations

import importlib
from types import ModuleType

from .errors import MissingPackageError


def require(module: str, *, feature: str, extra: str) -> ModuleType:
    """Import `module` (dotted name) or say which feature needs it and how to install it.

    Raises MissingPackageError when the package is absent; an ImportError from inside an installed package is passed on.
    """
    top = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != top:
            raise
    # Outside the handler: the traceback of the import says nothing that this does not.
    raise MissingPackageError(
        f"{feature} needs the package {top!r}, which is not installed. Install it with: pip install 'ftnb[{extra}]'"
    )
