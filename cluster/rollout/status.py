"""What `headswap status --cluster` shows: the rows of serving/rollout, and which version is being tried out."""

from dataclasses import replace

from cluster.rollout.session import ClusterSession
from serving.rollout.status import VersionStatus, read_status


def read_cluster_status(session: ClusterSession) -> list[VersionStatus]:
    """Return one row per version, live ones first; a candidate's state is its share, such as `5 %`."""
    models = session.live.pointer().models
    return [
        replace(row, state=f"{models[row.model].percent:g} %")
        if row.model in models and row.version == models[row.model].candidate
        else row
        for row in read_status(session)
    ]
