"""Which archives may run here. An archive is code: whoever has one loaded, has it run."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from serving.archive.handler_code import find_foreign_code
from serving.archive.reader import Archive
from serving.errors import ArchiveError, ForeignCodeError
from serving.rollout.live_record import Deployment, open_entry


@dataclass(frozen=True, kw_only=True)
class Trust:
    allow_custom_handler: bool = False
    """Whether an archive may bring code that is not this headswap's own."""
    public_key: Path | None = None
    """PEM; where given, only archives signed with its private half."""

    def accept(self, archive: Archive) -> Archive:
        """Return the archive.

        Raises:
            ForeignCodeError: it brings other code than ours. SignatureError: it lacks the signature asked for.
        """
        self._check_signature(archive)
        foreign = None if self.allow_custom_handler else find_foreign_code(archive.path)
        if foreign is not None:
            raise ForeignCodeError(
                f"{archive.path} carries code that is not this headswap's: {foreign}. Export it again with this "
                "version, or give --allow-custom-handler if you trust whoever made it: that code will run."
            )
        return archive

    def check_record(self, model_store: Path, record: Mapping[str, Deployment]) -> None:
        """Return if every live and every kept version has the signature asked for, or none is.

        Their code was judged when they came in, and their sha256 has been watched ever since.

        Raises:
            SignatureError, ArchiveError: one has not, or cannot be read.
        """
        if self.public_key is None:
            return
        for deployment in record.values():
            for entry in (deployment.live, *deployment.kept):
                self._check_signature(open_entry(model_store, entry))

    def _check_signature(self, archive: Archive) -> None:
        if self.public_key is None:
            return
        # Here and not above: servers without signatures need not wait for cryptography's import.
        from serving.archive.signature import verify

        verify(archive, self.public_key)


STRICT = Trust()


def refuse_outside(path: Path, model_store: Path) -> None:
    """Return if the file lies in the model store itself, not behind a link that leads out of it.

    Raises:
        ArchiveError: it lies elsewhere.
    """
    if path.exists() and path.resolve().parent != model_store.resolve():
        raise ArchiveError(
            f"{path} is not in the model store {model_store}, whose files only you should be able to write; copy it "
            "there, or give --allow-outside-store to have it copied."
        )


def copy_signature(source: Path, target: Path) -> None:
    """Put the signature of the archive `source`, where it has one, beside its copy `target`. Raises OSError."""
    signature = source.with_name(f"{source.name}.sig")
    if signature.is_file():
        beside = target.with_name(f".{target.name}.sig.part")
        shutil.copyfile(signature, beside)
        beside.replace(target.with_name(f"{target.name}.sig"))
