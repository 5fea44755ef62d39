"""What is live, kept and loaded, and how it is doing: from the record, TorchServe and the handler's counters."""

from dataclasses import dataclass

from serving.client.management import LoadedVersion
from serving.errors import ArchiveError
from serving.rollout.live_record import Entry
from serving.rollout.metrics_page import Counts
from serving.rollout.session import RolloutSession
from serving.rollout.store import Store


@dataclass(frozen=True, kw_only=True)
class VersionStatus:
    model: str
    version: str
    state: str
    """`live`, `kept` for a rollback, or just `loaded`."""
    ready_workers: int
    workers: int
    pending_requests: int
    requests: int
    """Images classified and requests rejected or failed since the server started, probes included."""
    errors: int
    """Requests and images rejected or failed."""
    faults: int
    """The errors that are the server's fault."""
    p50_ms: float | None
    p99_ms: float | None
    """Of the handler's calls, without the time in the queue; None before the first call."""
    sha256: str
    since: str
    why: str
    problem: str
    """Why its archive could not be loaded again, after a restart or for a rollback; empty if it could."""


def read_status(session: RolloutSession) -> list[VersionStatus]:
    """Return one row per version, live ones first.

    Raises:
        NoServerError, RequestError: no server answers.
    """
    management = session.http.management
    record = session.store.read_record()
    counts = session.read_counts()
    rows = []
    for model in [*record, *sorted(set(management.models()) - set(record))]:
        loaded = management.versions(model)
        deployment = record.get(model)
        entries: dict[str, tuple[str, Entry | None]] = {}
        if deployment is not None:
            entries[deployment.live.version] = ("live", deployment.live)
            entries |= {entry.version: ("kept", entry) for entry in deployment.kept}
        for version in [*entries, *sorted(set(loaded) - set(entries))]:
            state, entry = entries.get(version, ("loaded", None))
            rows.append(
                _row(
                    model,
                    version,
                    state,
                    entry,
                    loaded=loaded.get(version),
                    counts=counts.get((model, version), Counts()),
                    problem=_problem(session.store, model, entry),
                )
            )
    return rows


def _row(
    model: str,
    version: str,
    state: str,
    entry: Entry | None,
    *,
    loaded: LoadedVersion | None,
    counts: Counts,
    problem: str,
) -> VersionStatus:
    return VersionStatus(
        model=model,
        version=version,
        state=state,
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
        problem=problem,
    )


def _problem(store: Store, model: str, entry: Entry | None) -> str:
    """Return what is wrong with the archive of a live or kept version; it may be gone while its workers still serve."""
    if entry is None:
        return ""
    try:
        store.open_entry(entry, model=model)
    except ArchiveError as error:
        return str(error)
    return ""
