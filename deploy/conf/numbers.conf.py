"""The number server: counts up, and tells whoever connects. `rate_per_minute` changes with `skyhooks reload`.

skyhooks start deploy/conf/numbers.conf.py
"""

from workers.numbers.server import NumberServer
from workers.numbers.settings import NumberSettings

engine = "gevent"
settings = NumberSettings

numbers_listen = "127.0.0.1:7000"
rate_per_minute = 60


def service(settings: NumberSettings) -> NumberServer:
    """What runs."""
    return NumberServer(settings)
