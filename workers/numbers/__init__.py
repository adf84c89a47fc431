"""A server of numbers that count up, on gevent: the feed of the channel ``numbers``."""
