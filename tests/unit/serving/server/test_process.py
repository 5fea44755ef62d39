"""The environment of TorchServe and its workers."""

from serving.server.process import server_environment


def test_one_thread_that_does_not_spin_is_the_default_and_can_be_overridden(
    monkeypatch, tmp_path
) -> None:
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    environment = server_environment(tmp_path)
    assert (environment["OMP_NUM_THREADS"], environment["OMP_WAIT_POLICY"]) == ("1", "PASSIVE")
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    environment = server_environment(tmp_path)
    assert (environment["OMP_NUM_THREADS"], environment["OMP_WAIT_POLICY"]) == ("4", "ACTIVE")


def test_temporary_files_and_logs_go_to_the_state_folder(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TMPDIR", "/elsewhere")
    environment = server_environment(tmp_path)
    for name in ("TEMP", "TMPDIR", "LOG_LOCATION", "METRICS_LOCATION"):
        assert environment[name].startswith(str(tmp_path))
