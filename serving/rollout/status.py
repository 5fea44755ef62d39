"""What is live, what is kept, what is loaded, how it does: the record, TorchServe's word and the handler's counts."""

from collections.abc import Mapping
from dataclasses import dataclass

from serving.client.http_management import HttpManagement
from serving.client.management import LoadedVersion
from serving.errors import RequestError
from serving.rollout.live_record import Entry, read_record
from serving.rollout.metrics_page import Counts, read_counts
from serving.settings import ServerSettings


@dataclass(frozen=True, kw_only=True)
class VersionStatus:
    model: str
    version: str
    deployment: str
    """live, kept (for a rollback), or loaded."""
    ready_workers: int
    workers: int
    pending_requests: int
    requests: int
    """Photos classified and requests refused since the server started, the probes among them."""
    errors: int
    """Requests and photos refused or failed."""
    faults: int
    """Those of them that are the server's fault."""
    p50_ms: float | None
    p99_ms: float | None
    """Of the handler's calls, without the wait in the queue; None before the first."""
    sha256: str
    since: str
    why: str


def read_status(settings: ServerSettings) -> list[VersionStatus]:
    """Return one row per version, live ones first.

    Raises:
        NoServerError, RequestError: no server answers.
    """
    management = HttpManagement(settings)
    record = read_record(settings.model_store)
    counts = _counts(settings)
    rows = []
    for model in [*record, *sorted(set(management.models()) - set(record))]:
        loaded = management.versions(model)
        deployment = record.get(model)
        entries: dict[str, tuple[str, Entry | None]] = {}
        if deployment is not None:
            entries[deployment.live.version] = ("live", deployment.live)
            entries |= {entry.version: ("kept", entry) for entry in deployment.kept}
        for version in [*entries, *sorted(set(loaded) - set(entries))]:
            role, entry = entries.get(version, ("loaded", None))
            counted = counts.get((model, version), Counts())
            rows.append(
                _row(model, version, role, entry, loaded=loaded.get(version), counts=counted)
            )
    return rows


def _row(
    model: str,
    version: str,
    role: str,
    entry: Entry | None,
    *,
    loaded: LoadedVersion | None,
    counts: Counts,
) -> VersionStatus:
    return VersionStatus(
        model=model,
        version=version,
        deployment=role,
        ready_workers=len(loaded.ready_pids) if loaded else 0,
        workers=loaded.min_workers if loaded else 0,
        pending_requests=loaded.pending_requests if loaded else 0,
        requests=counts.requests,
        errors=sum(counts.errors.values()),
        faults=counts.faults,
        p50_ms=counts.percentile_ms(0.5),
        p99_ms=counts.percentile_ms(0.99),
        sha256=entry.sha256 if entry else "",
        since=entry.since if entry else "",
        why=entry.why if entry else "",
    )


def _counts(settings: ServerSettings) -> Mapping[tuple[str, str], Counts]:
    try:
        return read_counts(settings)
    except RequestError:
        # The metrics address may be off; the rest is worth showing.
        return {}
