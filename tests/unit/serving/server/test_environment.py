"""What TorchServe and its workers find in their environment."""

from serving.server.environment import server_environment


def test_threads_neither_multiply_nor_spin_unless_it_is_wanted(monkeypatch, tmp_path) -> None:
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    environment = server_environment(tmp_path)
    assert (environment["OMP_NUM_THREADS"], environment["OMP_WAIT_POLICY"]) == ("1", "PASSIVE")
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    environment = server_environment(tmp_path)
    assert (environment["OMP_NUM_THREADS"], environment["OMP_WAIT_POLICY"]) == ("4", "ACTIVE")


def test_it_writes_into_its_own_state_alone(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TMPDIR", "/elsewhere")
    environment = server_environment(tmp_path)
    for name in ("TEMP", "TMPDIR", "LOG_LOCATION", "METRICS_LOCATION"):
        assert environment[name].startswith(str(tmp_path))
