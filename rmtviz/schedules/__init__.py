"""When to cut during training: each schedule is a frozen value that sees a Moment of a run."""

from collections.abc import Mapping

from rmtviz.schedules.base import Look, Moment, Schedule
from rmtviz.schedules.every import Every
from rmtviz.schedules.falling import Falling
from rmtviz.schedules.once import Once
from rmtviz.schedules.rising import Rising
from rmtviz.schedules.saving import Saving
from rmtviz.schedules.settled import Settled

SCHEDULES: Mapping[str, type[Schedule]] = {
    "once": Once,
    "every": Every,
    "falling": Falling,
    "rising": Rising,
    "settled": Settled,
    "saving": Saving,
}

__all__ = [
    "SCHEDULES",
    "Every",
    "Falling",
    "Look",
    "Moment",
    "Once",
    "Rising",
    "Saving",
    "Schedule",
    "Settled",
]
