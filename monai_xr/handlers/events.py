"""Events of a run that ignite does not have."""

from ignite.engine import EventEnum


class RunEvents(EventEnum):
    """STOPPED fires exactly once when a run ends, however it ends.

    `state.outcome` then says how: "finished", "failed" or "stopped" by a signal.
    """

    STOPPED = "run_stopped"
