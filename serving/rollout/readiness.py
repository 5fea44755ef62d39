"""Ready means: enough workers, and known photos just classified as training classified them. Never /ping."""

from collections.abc import Callable, Mapping

from handlers.contract import ProbeSet
from serving.archive.reader import Archive
from serving.client import GrpcClient, HttpClient, Prediction
from serving.client.http_management import HttpManagement
from serving.errors import NotLoadedError, NotReadyError, RequestError
from serving.rollout.live_record import open_entry, read_record
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
    for deployment in record.values():
        archive = open_entry(settings.model_store, deployment.live)
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
        loaded = HttpManagement(settings).versions(archive.name).get(archive.version)
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
    answers = {
        photo: _ask(client, archive, photo, version=version)
        for photo in {probe.data for one in archive.probe_sets for probe in one.probes}
    }
    worst = [_largest_difference(answers, one) for one in archive.probe_sets]
    fitting = [
        difference
        for difference, one in zip(worst, archive.probe_sets, strict=True)
        if difference <= one.tolerance
    ]
    if not fitting:
        raise NotReadyError(
            f"{archive.name} {archive.version} answers a probe {worst[0]:.3f} away from what training computed; "
            f"{archive.probe_sets[0].tolerance} is tolerated."
        )
    return min(fitting)


def _ask(
    client: HttpClient | GrpcClient, archive: Archive, photo: bytes, *, version: str | None
) -> Prediction:
    try:
        answer = client.predict(
            archive.name,
            photo,
            top_k=len(archive.class_names),
            version=version,
            timeout_s=PROBE_TIMEOUT_S,
        )
    except RequestError as error:
        raise NotReadyError(
            f"{archive.name} {archive.version} did not answer a probe: {error}"
        ) from None
    if answer.version != archive.version:
        raise NotReadyError(
            f"version {answer.version} of {archive.name} answered instead of {archive.version}."
        )
    return answer


def _largest_difference(answers: Mapping[bytes, Prediction], probe_set: ProbeSet) -> float:
    return max(
        abs(guess.probability - probe.probabilities[guess.index])
        for probe in probe_set.probes
        for guess in answers[probe.data].scores
    )


Report = Callable[[str], None]
