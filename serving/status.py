"""What is live, what is kept, what is loaded: the record and TorchServe's own word side by side."""

from dataclasses import dataclass

from serving.live_record import read_record
from serving.management import Management
from serving.settings import ServerSettings


@dataclass(frozen=True, kw_only=True)
class VersionStatus:
    model: str
    version: str
    standing: str
    """live, previous (kept for a rollback) or loaded."""
    ready_workers: int
    workers: int
    pending_requests: int
    sha256: str
    since: str
    why: str


def read_status(settings: ServerSettings) -> list[VersionStatus]:
    """Return one row per version, live ones first.

    Raises:
        NoServerError, RequestError: no server answers.
    """
    management = Management(settings)
    rows = []
    for model, standing in read_record(settings.model_store).items():
        loaded = management.versions(model)
        named = {"live": standing.live, "previous": standing.previous}
        entries = {entry.version: (role, entry) for role, entry in named.items() if entry}
        for version in [*entries, *sorted(set(loaded) - set(entries))]:
            role, entry = entries.get(version, ("loaded", None))
            one = loaded.get(version)
            rows.append(
                VersionStatus(
                    model=model,
                    version=version,
                    standing=role,
                    ready_workers=len(one.ready_pids) if one else 0,
                    workers=one.min_workers if one else 0,
                    pending_requests=one.pending_requests if one else 0,
                    sha256=entry.sha256 if entry else "",
                    since=entry.since if entry else "",
                    why=entry.why if entry else "",
                )
            )
    return rows
