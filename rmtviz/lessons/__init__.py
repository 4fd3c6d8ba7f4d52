"""The lessons: what a newcomer has to see before a spectrum says anything, step by step."""

from rmtviz.lessons.base import Lesson
from rmtviz.lessons.edge import Edge
from rmtviz.lessons.labels import Cuts, Labels
from rmtviz.lessons.limits import Limits
from rmtviz.lessons.noise import Noise
from rmtviz.lessons.own import Own
from rmtviz.lessons.singular import Singular
from rmtviz.lessons.spike import Growth, Spike
from rmtviz.lessons.tracy_widom import TracyWidom
from rmtviz.lessons.universality import Universality

__all__ = ["LESSONS", "Cuts", "Growth", "Lesson"]

LESSONS: dict[str, type[Lesson]] = {
    "singular": Singular,
    "noise": Noise,
    "universality": Universality,
    "spike": Spike,
    "tracy-widom": TracyWidom,
    "edge": Edge,
    "labels": Labels,
    "limits": Limits,
    "own": Own,
}
"""The steps in order, by the name that stands in the URL; words under `learn.NAME`."""
