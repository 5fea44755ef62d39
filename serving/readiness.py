"""Ready means: enough workers, and known photos just classified as training classified them. Never /ping."""

from collections.abc import Callable

from serving.archive import Archive
from serving.client import GrpcClient, HttpClient, Prediction
from serving.errors import NotLoadedError, NotReadyError, RequestError
from serving.live_record import open_entry, read_record
from serving.management import Management
from serving.settings import ServerSettings

PROBE_TIMEOUT_S = 10.0


def check_live(settings: ServerSettings) -> list[str]:
    """Return one sentence per live model that answers rightly.

    Raises:
        NotReadyError: one does not; says which and why.
    """
    record = read_record(settings.model_store)
    if not record:
        raise NotReadyError(f"nothing is live: {settings.model_store} has no live.json.")
    told = []
    for standing in record.values():
        archive = open_entry(settings.model_store, standing.live)
        check_workers(settings, archive)
        with HttpClient(settings) as client:
            worst = check_probes(client, archive, version=None)
        told.append(
            f"{archive.name} {archive.version} is ready; probes differ by at most {worst:.2g}"
        )
    return told


def check_workers(settings: ServerSettings, archive: Archive) -> None:
    """Raise NotReadyError unless the version has all its workers."""
    try:
        loaded = Management(settings).versions(archive.name).get(archive.version)
    except RequestError as error:
        raise NotReadyError(str(error)) from None
    if loaded is None:
        raise NotLoadedError(f"{archive.name} {archive.version} is not loaded.")
    if not loaded.ready_pids or len(loaded.ready_pids) < loaded.min_workers:
        raise NotReadyError(
            f"{archive.name} {archive.version} has {len(loaded.ready_pids)} of {loaded.min_workers} workers ready."
        )


def check_probes(
    client: HttpClient | GrpcClient, archive: Archive, *, version: str | None
) -> float:
    """Return the largest difference of a probe's probabilities from training's.

    Raises:
        NotReadyError: an answer is missing, comes from another version, or differs beyond the tolerance.
    """
    worst = 0.0
    for probe in archive.probes:
        try:
            answer = client.predict(
                archive.name,
                probe.data,
                top_k=len(archive.class_names),
                version=version,
                timeout_s=PROBE_TIMEOUT_S,
            )
        except RequestError as error:
            raise NotReadyError(
                f"{archive.name} {archive.version} did not answer a probe: {error}"
            ) from None
        worst = max(worst, probe_difference(archive, answer, probe.probabilities))
    return worst


def probe_difference(archive: Archive, answer: Prediction, expected: tuple[float, ...]) -> float:
    """Return the largest difference of a probability. Raises NotReadyError beyond the archive's tolerance."""
    if answer.version != archive.version:
        raise NotReadyError(
            f"version {answer.version} of {archive.name} answered instead of {archive.version}."
        )
    difference = max(abs(guess.probability - expected[guess.index]) for guess in answer.guesses)
    if not difference <= archive.tolerance:
        raise NotReadyError(
            f"{archive.name} {archive.version} answers a probe {difference:.3f} away from what training computed; "
            f"{archive.tolerance} is tolerated."
        )
    return difference


Report = Callable[[str], None]
