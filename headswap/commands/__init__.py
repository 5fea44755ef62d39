"""The commands, grouped as `headswap --help` shows them; a group's modules lie in the folder it names.

A command's module has `Command`, a dataclass of its arguments, and `run(command) -> exit code`; its docstring is the
text of `headswap COMMAND --help`. A module may also have `take_preset(argv) -> (default command, remaining argv)`. Only
the module that is asked for is imported: torch alone takes seconds.
"""

import importlib
from dataclasses import dataclass
from types import ModuleType

from headswap.errors import UnknownCommandError


@dataclass(frozen=True, kw_only=True)
class CommandEntry:
    name: str
    summary: str
    module_name: str
    """Relative to this package, such as `training.lr_find`."""

    def load(self) -> ModuleType:
        return importlib.import_module(f"{__name__}.{self.module_name}")


def _group(folder: str, summaries: dict[str, str]) -> tuple[CommandEntry, ...]:
    prefix = f"{folder}." if folder else ""
    return tuple(
        CommandEntry(name=name, summary=summary, module_name=prefix + name.replace("-", "_"))
        for name, summary in summaries.items()
    )


GROUPS = {
    "First steps": _group(
        "",
        {"demo": "run all of the below once, on the photos that come with the project"},
    ),
    "Train": _group(
        "training",
        {
            "data": "check a folder of photos: counts, broken files, duplicates; audit its labels",
            "lr-find": "find a good learning rate, with a plot",
            "train": "fine-tune a pretrained network on a folder of photos",
            "evaluate": "measure a run on its held-out test photos and write a report",
            "compare": "train several networks and starting weights over several seeds",
        },
    ),
    "Package": _group(
        "archives",
        {
            "export": "package a run as an archive in the model store",
            "configure": "copy an archive under a new version, with other serving settings",
            "keygen": "create the key pair that signs and verifies archives",
            "sign": "sign an archive, so that servers can verify where it comes from",
        },
    ),
    "Serve": _group(
        "serving",
        {
            "serve": "run the server in the foreground with the live versions",
            "page": "open the page in the browser: try photos, swap versions, watch",
            "ready": "exit 0 if every live version classifies its probe photos correctly",
            "status": "show which versions are live and loaded, with requests, errors and latency",
            "predict": "classify photos: files, folders or standard input",
            "token": "print the server's current token, for use with curl",
            "tune": "find the best serving settings for this host, and its capacity",
        },
    ),
    "Serve on many machines": _group(
        "cluster", {"cluster": "serve archives with Ray: cluster serve, cluster stop"}
    ),
    "Swap versions": _group(
        "rollout",
        {
            "promote": "validate an archive and make it live without losing a request",
            "rollback": "make the previous version live again, at once",
            "retire": "unload a version that is no longer live without losing a request",
            "soak": "swap versions under load and count failed, wrong and late answers",
        },
    ),
    "Improve": _group(
        "learning",
        {
            "review": "say which captured photos to label next",
            "improve": "train on the labels of captured photos, and promote the result if it is better",
        },
    ),
}
COMMANDS = {entry.name: entry for entries in GROUPS.values() for entry in entries}


def find_command(name: str) -> CommandEntry:
    """Return the command called `name`.

    Raises:
        UnknownCommandError: there is none; the message lists those there are.
    """
    if name not in COMMANDS:
        raise UnknownCommandError(name, sorted(COMMANDS))
    return COMMANDS[name]


def overview() -> str:
    """Return what `headswap --help` prints."""
    width = max(map(len, COMMANDS))
    lines = [
        "usage: headswap COMMAND [options]",
        "",
        "Fine-tune a pretrained image classifier, serve it with TorchServe, swap versions under load.",
    ]
    for title, entries in GROUPS.items():
        lines += ["", f"{title}:"]
        lines += [f"  {entry.name:<{width}}  {entry.summary}" for entry in entries]
    lines += ["", "Run headswap COMMAND --help for its options and an example.", ""]
    return "\n".join(lines)
