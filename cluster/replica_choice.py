"""Which replica of a version answers: the one with the fewest requests of this router in flight.

Serve's own choice compares the queue lengths that replicas report. Its reports arrive late where all cores compute, and
requests then go to one replica while the other has none: 18 % of two cores stood idle at 8 connections.
"""

import random
from collections import Counter
from typing import Any

from ray.serve.request_router import (
    FIFOMixin,
    PendingRequest,
    ReplicaID,
    RequestRouter,
    RunningReplica,
)


class FewestInFlight(FIFOMixin, RequestRouter):  # type: ignore[misc]
    """A Serve request router; `cluster/deployment.py` names it."""

    def initialize_state(self, **_: Any) -> None:
        """Serve calls this once, before anything else."""
        self._in_flight: Counter[ReplicaID] = Counter()

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """Return the replicas in the order in which Serve is to try them; it goes on to the next where one is full."""
        # Shuffled, so that of equals it is not always the same.
        shuffled = random.sample(candidate_replicas, len(candidate_replicas))
        by_load = sorted(shuffled, key=lambda replica: self._in_flight[replica.replica_id])
        return [[replica] for replica in by_load]

    def on_send_request(self, replica_id: ReplicaID) -> None:
        super().on_send_request(replica_id)
        self._in_flight[replica_id] += 1

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        super().on_request_completed(replica_id, internal_request_id)
        self._in_flight[replica_id] -= 1
        if self._in_flight[replica_id] <= 0:
            del self._in_flight[replica_id]
