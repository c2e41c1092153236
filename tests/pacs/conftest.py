"""Fixtures of the PACS tests."""

from pacs.receiving import receiver, stopped

__all__ = ["receiver", "stopped"]
