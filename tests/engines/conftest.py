"""Fixtures of the engines: the small trainings of the handlers."""

from handlers.conftest import make_engine

__all__ = ["make_engine"]
