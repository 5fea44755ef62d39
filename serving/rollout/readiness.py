"""Whether the live versions answer: all workers up, and known photos classified as in training. Never /ping."""

from collections.abc import Mapping

from handlers.contract import ProbeSet
from serving.archive.reader import Archive
from serving.client import Client, Prediction
from serving.errors import NotLoadedError, NotReadyError, RequestError
from serving.rollout.session import RolloutSession

PROBE_TIMEOUT_S = 10.0


def check_live(session: RolloutSession) -> list[str]:
    """Return one sentence per live model, each of which has just classified its probes correctly.

    A live archive is not read again while its file is unchanged (storage/hashing.py): this is polled, each 0.2 s while
    a server starts and each 15 s by a HEALTHCHECK. The server has read the whole file when it started.

    Raises:
        NotReadyError: a model did not, or nothing is live; says which and why.
        ArchiveError: a live archive is gone or has changed.
    """
    store = session.store
    record = store.read_record()
    if not record:
        raise NotReadyError(f"nothing is live: {store} has no live.json.")
    sentences = []
    for model, deployment in record.items():
        archive = store.open_entry(deployment.live, model=model)
        check_workers(session, archive)
        difference = check_probes(session.http, archive, version=None)
        sentences.append(
            f"{archive.name} {archive.version} is ready; its probes differ by at most {difference:.2g}"
        )
    return sentences


def check_workers(session: RolloutSession, archive: Archive) -> None:
    """Raise NotReadyError unless the version has all its workers, NotLoadedError if it is not loaded at all."""
    try:
        loaded = session.http.management.versions(archive.name).get(archive.version)
    except RequestError as error:
        raise NotReadyError(str(error)) from None
    if loaded is None:
        raise NotLoadedError(f"{archive.name} {archive.version} is not loaded.")
    if not loaded.ready_pids or len(loaded.ready_pids) < loaded.min_workers:
        raise NotReadyError(
            f"{archive.name} {archive.version} has {len(loaded.ready_pids)} of {loaded.min_workers} workers ready."
        )


def check_probes(client: Client, archive: Archive, *, version: str | None) -> float:
    """Return the largest difference of a served probability from the probe's, 0..1; `version` None asks the live one.

    The answers must fit one of the archive's probe sets as a whole.

    Raises:
        NotReadyError: an answer is missing, comes from another version, or differs by more than the tolerance.
    """
    photos = {probe.data for probe_set in archive.probe_sets for probe in probe_set.probes}
    predictions = {photo: _predict(client, archive, photo, version=version) for photo in photos}
    differences = [_largest_difference(predictions, probe_set) for probe_set in archive.probe_sets]
    tolerated = [
        difference
        for difference, probe_set in zip(differences, archive.probe_sets, strict=True)
        if difference <= probe_set.tolerance
    ]
    if not tolerated:
        raise NotReadyError(
            f"{archive.name} {archive.version} answers a probe with a probability that differs by {differences[0]:.3f} "
            f"from training's; the tolerance is {archive.probe_sets[0].tolerance}."
        )
    return min(tolerated)


def _predict(client: Client, archive: Archive, photo: bytes, *, version: str | None) -> Prediction:
    try:
        prediction = client.predict(
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
    if prediction.version != archive.version:
        raise NotReadyError(
            f"version {prediction.version} of {archive.name} answered instead of {archive.version}."
        )
    return prediction


def _largest_difference(predictions: Mapping[bytes, Prediction], probe_set: ProbeSet) -> float:
    return max(
        abs(score.probability - probe.probabilities[score.index])
        for probe in probe_set.probes
        for score in predictions[probe.data].scores
    )
