"""What tests of several packages share."""

from serving.server.ports import free_ports

__all__ = ["free_port", "free_ports"]


def free_port() -> int:
    """Return a loopback port that nothing listens on now."""
    return free_ports(1)[0]
