"""`headswap predict` against a fake server: every photo gets a line, and bad photos do not stop it."""

import csv
import io
import json
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from rich.console import Console
from werkzeug import Request, Response

from headswap import progress
from headswap.cli import main
from headswap.commands.serving import predict
from serving.client import retries

SCORES = [
    {"label": "hat", "index": 1, "probability": 0.75},
    {"label": "a, b", "index": 0, "probability": 0.25},
]


@pytest.fixture
def server(httpserver: HTTPServer, monkeypatch) -> str:
    monkeypatch.setattr(retries, "BASE_DELAY_S", 0.0001)
    monkeypatch.delenv("HEADSWAP_TOKEN", raising=False)

    def handle(request: Request) -> Response:
        model = {"name": "clothing", "version": "1.0"}
        if request.path.startswith("/explanations"):
            assert request.headers["X-Explain-Class"] == "hat"
            return Response(b"\x89PNG\r\n\x1a\n" + request.data)
        if request.data == b"bad":
            error = {"status": 400, "code": "undecodable_image", "message": "no image"}
            return Response(json.dumps({"model": model, "error": error}), status=400)
        shown = SCORES[: int(request.headers["X-Top-K"])]
        return Response(json.dumps({"model": model, "predictions": shown}))

    for path in ("/predictions/clothing", "/explanations/clothing/1.0"):
        httpserver.expect_request(path).respond_with_handler(handle)
    return httpserver.url_for("").rstrip("/")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    (photos / "sub").mkdir(parents=True)
    for name in ("[a].jpg", "b.jpg", "d.jpg", "sub/b.jpg"):
        (photos / name).write_bytes(name.encode())
    (photos / "c.jpg").write_bytes(b"bad")
    return photos


def run_predict(server: str, folder: Path, *options: str) -> int:
    return main(["predict", str(folder), "--address", server, "--model", "clothing", *options])


def test_text_names_each_photo_by_its_path(server, folder, capsys):
    assert run_predict(server, folder, "--top-k", "1") == 1
    shown = capsys.readouterr()
    names = ["[a].jpg", "b.jpg", "d.jpg", "sub/b.jpg"]
    assert shown.out.splitlines() == [f"{folder / name}: hat 0.750" for name in names]
    assert "c.jpg: no image\n" in shown.err
    assert shown.err.endswith("headswap: 1 of 5 photos could not be classified\n")


def test_json_lines_hold_predictions_or_errors(server, folder, capsys):
    assert run_predict(server, folder, "--json") == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 5
    assert lines[0]["scores"] == SCORES
    assert lines[2]["error"] == {"status": 400, "code": "undecodable_image", "message": "no image"}


def test_csv_has_the_same_columns_in_every_row(server, folder, capsys):
    assert run_predict(server, folder, "--csv", "--top-k", "3") == 1
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    head = ["photo", "model", "version", "label_1", "probability_1", "label_2", "probability_2"]
    assert rows[0] == [
        *head,
        "label_3",
        "probability_3",
        "outcome",
        "unknown_score",
        "explanation",
        "error",
    ]
    assert {len(row) for row in rows} == {13}
    # A model of two classes has no third score.
    assert rows[1][3:] == ["hat", "0.75", "a, b", "0.25", "", "", "", "", "", ""]
    assert rows[3][1:] == [*[""] * 11, "no image"]


def test_explanations_of_photos_with_the_same_name_do_not_overwrite_each_other(
    server, folder, capsys, tmp_path
):
    heat = tmp_path / "heat"
    assert run_predict(server, folder, "--json", "--explain", str(heat)) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    pictures = [Path(line["explanation"]) for line in lines if "explanation" in line]
    assert [picture.name for picture in pictures] == [
        "000001-[a].png", "000002-b.png", "000004-d.png", "000005-b.png",
    ]  # fmt: skip
    assert pictures[3].read_bytes().endswith(b"sub/b.jpg")


def test_a_folder_without_bad_photos_exits_with_0(server, folder):
    (folder / "c.jpg").unlink()
    assert run_predict(server, folder) == 0


def test_a_file_name_that_is_not_utf8_is_printed_unchanged(server, tmp_path, capfdbinary):
    name = b"caf\xe9.jpg"
    (tmp_path / "photos").mkdir()
    Path(str(tmp_path / "photos") + "/" + name.decode(errors="surrogateescape")).write_bytes(b"x")
    assert run_predict(server, tmp_path / "photos", "--top-k", "1") == 0
    assert name in capfdbinary.readouterr().out


def test_a_progress_bar_is_shown_on_a_terminal_and_nowhere_else(
    server, folder, monkeypatch, capsys
):
    terminal = io.StringIO()
    monkeypatch.setattr(progress, "stderr", Console(file=terminal, force_terminal=True, width=80))
    assert run_predict(server, folder, "--csv") == 1
    assert "5/5" in terminal.getvalue()
    assert len(capsys.readouterr().out.splitlines()) == 6
    silent = io.StringIO()
    monkeypatch.setattr(progress, "stderr", Console(file=silent))
    assert run_predict(server, folder, "--csv") == 1
    assert silent.getvalue() == ""


def test_an_unreachable_server_ends_it_after_a_few_photos(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(retries, "BASE_DELAY_S", 0.0001)
    for number in range(50):
        (tmp_path / f"{number:02}.jpg").write_bytes(b"x")
    assert run_predict("http://127.0.0.1:9", tmp_path) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == predict.GIVE_UP_AFTER
    assert "cannot be reached" in errors[-1]
    assert ".jpg" not in errors[-1]


def test_a_rejected_token_ends_it_at_once(httpserver, folder, capsys):
    httpserver.expect_request("/predictions/clothing").respond_with_json({}, status=401)
    assert run_predict(httpserver.url_for("").rstrip("/"), folder) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--json", "--csv"], "cannot be combined"),
        (["--top-k", "0"], "must be 1 or more"),
        (["--in-flight", "0"], "must be 1 or more"),
        (["--ca-file", "/absent.pem"], "/absent.pem"),
        (["--token-file", "/absent"], "token file"),
    ],
)
def test_invalid_options_are_one_line_and_exit_with_2(server, folder, capsys, options, message):
    assert run_predict(server, folder, *options) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_an_address_needs_a_model(folder, capsys):
    assert main(["predict", str(folder), "--address", "host"]) == 2
    assert "--model" in capsys.readouterr().err
