"""Which archives may run here. An archive is code, which runs when it is loaded."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from serving.archive.handler_code import find_foreign_code
from serving.archive.reader import Archive
from serving.errors import ArchiveError, ForeignCodeError
from serving.rollout.live_record import Deployment, open_entry
from storage.atomic import atomic_path


@dataclass(frozen=True, kw_only=True)
class Trust:
    allow_custom_handler: bool = False
    """Whether an archive may bring code that is not this installation's own."""
    public_key: Path | None = None
    """A PEM file; if given, only archives signed with its private half may run."""

    def accept(self, archive: Archive) -> Archive:
        """Return the archive.

        Raises:
            ForeignCodeError: its code is not ours. SignatureError: the required signature is missing or wrong.
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
        """Check the signature of every live and every kept version, if signatures are required.

        Their code was checked when they came in, and their sha256 must be what it was then.

        Raises:
            SignatureError: a signature is missing or wrong. ArchiveError: an archive is gone or has changed.
        """
        if self.public_key is None:
            return
        for model, deployment in record.items():
            for entry in deployment.entries:
                self._check_signature(open_entry(model_store, entry, model=model, rehash=True))

    def _check_signature(self, archive: Archive) -> None:
        if self.public_key is None:
            return
        # Not at the top: servers without signatures need not wait for the import of cryptography.
        from serving.archive.signature import verify

        verify(archive, self.public_key)


STRICT = Trust()


def refuse_outside(path: Path, model_store: Path) -> None:
    """Raise ArchiveError if the file lies outside the model store, or is a link that leads out of it."""
    if path.exists() and path.resolve().parent != model_store.resolve():
        raise ArchiveError(
            f"{path} is not in the model store {model_store}, whose files only you should be able to write; copy it "
            "there, or give --allow-outside-store to have it copied."
        )


def copy_signature(source: Path, target: Path) -> None:
    """Copy the signature of the archive `source`, if it has one, next to its copy `target`. Raises OSError."""
    signature = source.with_name(f"{source.name}.sig")
    if signature.is_file():
        with atomic_path(target.with_name(f"{target.name}.sig")) as temporary:
            shutil.copyfile(signature, temporary)
