"""Skyhooks inside other programs: callbacks for Tornado, gevent, ASGI, Django, Twisted and plain threads.

Import the module of your framework; each one has a `Container`, and the endpoint that workers post results to.
"""
