"""How a version becomes a Serve application: its name, its numbers, and what is said when it fails."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from cluster import defaults
from cluster.deployment import VersionOptions, _deployment, _reason
from cluster.names import application_name
from handlers.settings import FRONTEND_DEFAULTS
from serving.client.request_limit import DEFAULT_LIMIT_BYTES
from serving.settings import parse_properties
from tests.unit.test_architecture import ROOT

TEXT = st.text(min_size=1, max_size=10)


@given(TEXT, TEXT, TEXT, TEXT)
def test_every_version_has_a_name_of_its_own(a: str, b: str, c: str, d: str) -> None:
    assert (application_name(a, b) == application_name(c, d)) == ((a, b) == (c, d))


@given(TEXT, TEXT)
def test_a_name_is_part_of_a_file_name(model: str, version: str) -> None:
    name = application_name(model, version)
    assert name.isascii()
    assert not set(name) & set("/\\ #\n\0")


def test_a_replica_on_a_cpu_holds_its_queue() -> None:
    deployment = _deployment(
        VersionOptions(replicas_min=2, replicas_max=3, queued_requests=7), batch_size=4
    )
    assert deployment.max_ongoing_requests == defaults.REPLICA_ONGOING_REQUESTS
    assert deployment.max_queued_requests == 7
    scaling = deployment._deployment_config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas) == (2, 3)
    assert "num_gpus" not in deployment.ray_actor_options


def test_a_replica_on_a_gpu_has_two_batches() -> None:
    deployment = _deployment(VersionOptions(gpus_per_replica=1), batch_size=32)
    assert deployment.max_ongoing_requests == 64
    scaling = deployment._deployment_config.autoscaling_config
    assert scaling.target_ongoing_requests == 48
    assert deployment.ray_actor_options["num_gpus"] == 1


def test_the_last_error_of_a_replica_is_the_reason() -> None:
    traceback = (
        "Traceback (most recent call last):\n  File ...\n"
        "handlers.errors.ProbeError: refusing to serve m 1.0: probe 0.jpg differs.\n"
    )
    failed = SimpleNamespace(
        deployments={"v": SimpleNamespace(message=traceback)}, message="failed"
    )
    assert _reason(failed) == "refusing to serve m 1.0: probe 0.jpg differs."
    assert _reason(None) == ""


def test_the_defaults_are_torchserves() -> None:
    """A host that changes its engine keeps its limits; config.properties is where the others stand."""
    text = (ROOT / "config.properties").read_text()
    properties = parse_properties(text, source="config.properties")
    assert (
        int(properties["max_request_size"]) == defaults.REQUEST_LIMIT_BYTES == DEFAULT_LIMIT_BYTES
    )
    held = defaults.REPLICA_ONGOING_REQUESTS + defaults.QUEUED_REQUESTS
    assert int(properties["job_queue_size"]) == held
    assert properties["inference_address"] == f"http://{defaults.LISTEN}:{defaults.HTTP_PORT}"
    assert int(properties["grpc_inference_port"]) == defaults.GRPC_PORT
    assert FRONTEND_DEFAULTS["responseTimeout"] == defaults.REQUEST_TIMEOUT_S
