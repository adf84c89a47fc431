"""A clock that stands still until a test moves it."""


class Clock:
    """Gives `now`, in seconds since 1970; it starts where tests can still see small steps in a float."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
