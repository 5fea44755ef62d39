"""The verbs and what each is for. Only the verb that is asked for is imported: torch alone takes seconds."""

import importlib
from dataclasses import dataclass
from types import ModuleType

from headswap.errors import UnknownCommandError


@dataclass(frozen=True, kw_only=True)
class Verb:
    name: str
    summary: str
    module_name: str

    def load(self) -> ModuleType:
        """Return the verb's module: `Command` (a dataclass of its flags) and `run(command) -> exit code`."""
        return importlib.import_module(f"headswap.commands.{self.module_name}")


def _verb(name: str, summary: str, *, module_name: str | None = None) -> Verb:
    return Verb(name=name, summary=summary, module_name=module_name or name)


COMMANDS = {
    verb.name: verb
    for verb in (
        _verb("demo", "everything below once, on the photos that come with the project"),
        _verb("data", "look at a folder of photos: counts, broken files, copies, a picture"),
        _verb("train", "fine-tune a pretrained network on a folder of photos"),
        _verb("lr-find", "find how fast a network may learn, with a plot", module_name="lr_find"),
        _verb("evaluate", "judge a run on the test photos it has never seen"),
        _verb(
            "compare", "pretrained against scratch, frozen against full, network against network"
        ),
        _verb("export", "pack a run into an archive in the model store"),
        _verb("tune", "find the settings this host serves an archive best with, and its capacity"),
        _verb("configure", "give an archive other settings, under a version of its own"),
        _verb("keygen", "make the pair of keys that sign archives and check them"),
        _verb("sign", "sign an archive, so that servers can ask who made it"),
        _verb("serve", "start the server with what was promoted, and stay in the foreground"),
        _verb("ready", "exit 0 if the live version just classified a known photo correctly"),
        _verb("predict", "classify photos: files, folders or standard input"),
        _verb(
            "promote", "put an archive live, after it has proved itself, without losing a request"
        ),
        _verb("rollback", "put the previous version back live, at once"),
        _verb("retire", "unload a version that is no longer live, losing nothing"),
        _verb("soak", "promote back and forth under load, and count what is lost, wrong or late"),
        _verb("status", "what is live, what is loaded, how it is doing"),
        _verb("token", "print the server's current token, for curl"),
    )
}


def find(name: str) -> Verb:
    """Return the verb called `name`.

    Raises:
        UnknownVerbError: there is none; the message lists those there are.
    """
    if name not in COMMANDS:
        raise UnknownCommandError(name, sorted(COMMANDS))
    return COMMANDS[name]


def overview() -> str:
    """Return what `headswap --help` prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {verb.name:<{width}}  {verb.summary}" for verb in COMMANDS.values()]
    return "\n".join(
        [
            "usage: headswap VERB [options]",
            "",
            "Fine-tune a pretrained image classifier, serve it with TorchServe, swap versions under load.",
            "",
            *lines,
            "",
            "headswap VERB --help explains a verb and shows an example. First steps: headswap demo",
            "",
        ]
    )
