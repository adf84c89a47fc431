"""The limits of a container of callbacks, each with its default."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a container takes and how often it looks. Times are in seconds, sizes in bytes."""

    body_bytes: int = 1024 * 1024
    """A request's body; above it 413."""
    batch_items: int = 1000
    """Webhooks in one request."""
    page_count: int = 100
    """Publications that are handed to a callback in one go, and so the most that wait in memory for it."""
    page_bytes: int = 256 * 1024
    """Bytes of data that are handed to a callback in one go (at least one publication)."""
    news_seconds: float = 0.1
    """Pause between two looks at what others have appended."""
    sweep_seconds: float = 60.0
    """Pause between two comparisons of every channel that is listened to with the log."""
    lease_seconds: float = 10.0
    """How long the app counts as alive after its last sign of life."""
    linger_seconds: float = 30.0
    """How long the app stays registered for an account after its last callback has gone."""
