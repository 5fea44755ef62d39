"""Print the current token of the server on this machine.

Example:
    curl -H "Authorization: Bearer $(headswap token)" -sT photo.jpg http://127.0.0.1:8080/predictions/clothing
"""

from dataclasses import dataclass, field

from headswap.options import ServerOptions
from headswap.output import stdout


@dataclass(frozen=True, kw_only=True)
class Command:
    management: bool = False
    """Print the token of the management API instead of the inference API's."""
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from serving.client.tokens import TokenKind, read_token

    kind: TokenKind = "management" if command.management else "inference"
    stdout.print(read_token(command.server.settings().key_file, kind))
    return 0
