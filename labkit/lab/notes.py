"""What a receiver tells during a call, written down."""

from labkit.core.session import Report
from labkit.endpoints.receiver import Finished, Heard
from labkit.words.machine import Event


class Notes:
    """Give `take` every event of a receiver."""

    def __init__(self) -> None:
        self.finished = False
        self.heard: list[Heard] = []
        self.reports: list[Report] = []

    def take(self, event: Event) -> None:
        """Note one event."""
        if isinstance(event, Heard):
            self.heard.append(event)
        elif isinstance(event, Report):
            self.reports.append(event)
        elif isinstance(event, Finished):
            self.finished = True
