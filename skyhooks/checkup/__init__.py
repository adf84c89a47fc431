"""The checkup behind ``skyhooks doctor`` and ``celery -A proj skyhooks doctor``.

A check looks at a `Subject` and yields findings; the mistakes that it can find are written down next to it, each with
its fix, and ``docs/doctor.md`` is made from them. Nothing here publishes, and nothing of what is looked at is changed.
"""

from skyhooks.checkup.examination import CHECKS, examine
from skyhooks.checkup.finding import Check, Finding, Mistake
from skyhooks.checkup.subject import Subject

__all__ = ["CHECKS", "Check", "Finding", "Mistake", "Subject", "examine"]
