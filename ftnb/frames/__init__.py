"""The log as dataframes: declared columns (`schema`), built by columns (`build`)."""

from __future__ import annotations

from ._refresh import refreshed
from .build import Frames
from .schema import TABLES, Column, data_dictionary

__all__ = ["TABLES", "Column", "Frames", "data_dictionary", "refreshed"]
