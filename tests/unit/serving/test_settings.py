"""config.properties: as it is read, as clients use it, and as Java gets it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import SettingsError
from serving.settings import SOCKET_PATH_LIMIT_BYTES, load_settings, parse_properties


def rendered(settings):
    return parse_properties(settings.render("a=a.mar"), source="rendered")


def test_an_empty_file_has_torchserves_default_addresses(settings_of):
    settings = settings_of()
    assert settings.inference_url == "http://127.0.0.1:8080"
    assert settings.management_url == "http://127.0.0.1:8081"
    assert (settings.grpc_target, settings.grpc_management_target) == (
        "127.0.0.1:7070",
        "127.0.0.1:7071",
    )
    assert settings.uses_tokens
    assert set(settings.ports().values()) == {8080, 8081, 8082, 7070, 7071}


def test_a_server_that_listens_everywhere_is_reached_on_loopback(settings_of):
    settings = settings_of("inference_address=http://0.0.0.0:9000", "grpc_inference_address=::")
    assert settings.inference_url == "http://127.0.0.1:9000"
    assert settings.grpc_target == "127.0.0.1:7070"


def test_listen_changes_the_two_inference_addresses_only(settings_of):
    settings = settings_of("management_address=http://127.0.0.1:8081", listen="0.0.0.0")
    java = rendered(settings)
    assert java["inference_address"] == "http://0.0.0.0:8080"
    assert java["grpc_inference_address"] == "0.0.0.0"
    assert java["management_address"] == "http://127.0.0.1:8081"
    assert settings.inference_url == "http://127.0.0.1:8080"
    elsewhere = settings_of(listen="192.0.2.7")
    assert elsewhere.inference_url == "http://192.0.2.7:8080"
    assert elsewhere.grpc_target == "192.0.2.7:7070"


def test_java_gets_what_the_file_leaves_out(settings_of, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    settings = settings_of("default_workers_per_model=3")
    java = rendered(settings)
    assert java["load_models"] == "a=a.mar"
    assert java["default_workers_per_model"] == "3"
    assert Path(java["model_store"]).is_absolute()
    assert Path(java["metrics_config"]).is_file()
    assert "enable_grpc_ssl" not in java


@pytest.mark.parametrize("line", ["no equals sign", "=value"])
def test_other_lines_are_rejected_with_their_number(settings_of, line):
    with pytest.raises(SettingsError, match="line 2"):
        settings_of("a=b", line)


def test_a_missing_file_is_reported_with_the_flag_to_give(tmp_path):
    with pytest.raises(SettingsError, match="give --config"):
        load_settings(config=tmp_path / "absent", model_store=tmp_path, state=tmp_path)


def test_addresses_of_other_schemes_are_rejected(settings_of):
    with pytest.raises(SettingsError, match="must be an http:// or https:// address"):
        _ = settings_of("management_address=unix:/tmp/x.sock").management_url


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_rejected_in_one_line(text):
    try:
        properties = parse_properties(text, source="x")
    except SettingsError as error:
        message = str(error)
    else:
        message = ""
        assert all(key and key == key.strip() for key in properties)
    assert "\n" not in message


def test_a_state_folder_too_long_for_unix_sockets_is_rejected_before_the_start(
    settings_of, tmp_path
):
    fits = SOCKET_PATH_LIMIT_BYTES - len("/s" + "/tmp/.ts.sock.65535")
    base = Path("/") / ("d" * 50)
    longest = base / ("x" * (fits - len(str(base)) - 1)) / "s"
    settings_of(state=longest).render("")
    with pytest.raises(SettingsError, match=r"1 bytes too long.*shorter --state"):
        settings_of(state=longest.with_name("ss")).render("")
    # Counted in bytes, as the kernel does.
    with pytest.raises(SettingsError, match="too long"):
        settings_of(state=longest.with_name("ü")).render("")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["certificate_file=server.pem"], "alone"),
        (["private_key_file=server.key"], "alone"),
        (["private_key_file=server.key", "certificate_file=server.pem"], "does not exist"),
    ],
)
def test_incomplete_tls_settings_are_rejected(settings_of, lines, message):
    with pytest.raises(SettingsError, match=message):
        settings_of(*lines)


def test_a_file_of_metrics_that_is_not_there_is_named(tmp_path: Path) -> None:
    config = tmp_path / "config.properties"
    config.write_text("metrics_config=metrics.yaml\n")
    settings = load_settings(config=config, model_store=tmp_path, state=tmp_path)
    with pytest.raises(
        SettingsError, match=r"metrics_config .* 'metrics\.yaml', and there is no file"
    ):
        settings.render("")
    (tmp_path / "metrics.yaml").touch()
    assert str(tmp_path / "metrics.yaml") in settings.render("")
