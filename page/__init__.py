"""The page: try, watch, operate and label in a browser, through the same client and functions as the commands.

An ASGI application in a process of its own. The browser never sees the server's tokens: it has a session's cookie.
"""
