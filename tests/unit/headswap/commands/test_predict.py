"""`headswap predict` against a stand-in for a server: every photo gets a line, bad ones do not stop it."""

import csv
import io
import json
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from rich.console import Console
from werkzeug import Request, Response

from headswap.cli import main
from headswap.commands.serving import predict
from serving.client import retries

GUESSES = [
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
        shown = GUESSES[: int(request.headers["X-Top-K"])]
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


def ask(server: str, folder: Path, *words: str) -> int:
    return main(["predict", str(folder), "--address", server, "--model", "clothing", *words])


def test_text_names_each_photo_as_it_is_called(server, folder, capsys):
    assert ask(server, folder, "--top-k", "1") == 1
    shown = capsys.readouterr()
    names = ["[a].jpg", "b.jpg", "d.jpg", "sub/b.jpg"]
    assert shown.out.splitlines() == [f"{folder / name}: hat 0.750" for name in names]
    assert "c.jpg: no image\n" in shown.err
    assert shown.err.endswith("headswap: 1 of 5 photos have no answer\n")


def test_json_lines_tell_answers_and_errors_apart(server, folder, capsys):
    assert ask(server, folder, "--json") == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 5
    assert lines[0]["scores"] == GUESSES
    assert lines[2]["error"] == {"status": 400, "code": "undecodable_image", "message": "no image"}


def test_csv_has_the_same_columns_in_every_row(server, folder, capsys):
    assert ask(server, folder, "--csv", "--top-k", "3") == 1
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    head = ["photo", "model", "version", "label_1", "probability_1", "label_2", "probability_2"]
    assert rows[0] == [*head, "label_3", "probability_3", "explanation", "error"]
    assert {len(row) for row in rows} == {11}
    # A model of two classes has no third guess.
    assert rows[1][3:] == ["hat", "0.75", "a, b", "0.25", "", "", "", ""]
    assert rows[3][1:] == ["", "", "", "", "", "", "", "", "", "no image"]


def test_explanations_of_photos_of_the_same_name_do_not_overwrite_each_other(
    server, folder, capsys, tmp_path
):
    heat = tmp_path / "heat"
    assert ask(server, folder, "--json", "--explain", str(heat)) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    pictures = [Path(line["explanation"]) for line in lines if "explanation" in line]
    assert [picture.name for picture in pictures] == [
        "000001-[a].png", "000002-b.png", "000004-d.png", "000005-b.png",
    ]  # fmt: skip
    assert pictures[3].read_bytes().endswith(b"sub/b.jpg")


def test_a_folder_without_bad_photos_exits_with_0(server, folder):
    (folder / "c.jpg").unlink()
    assert ask(server, folder) == 0


def test_a_name_that_is_no_text_goes_out_as_it_came_in(server, tmp_path, capfdbinary):
    name = b"caf\xe9.jpg"
    (tmp_path / "photos").mkdir()
    Path(str(tmp_path / "photos") + "/" + name.decode(errors="surrogateescape")).write_bytes(b"x")
    assert ask(server, tmp_path / "photos", "--top-k", "1") == 0
    assert name in capfdbinary.readouterr().out


def test_a_bar_moves_on_a_terminal_and_nowhere_else(server, folder, monkeypatch, capsys):
    terminal = io.StringIO()
    monkeypatch.setattr(predict, "stderr", Console(file=terminal, force_terminal=True, width=80))
    assert ask(server, folder, "--csv") == 1
    assert "5/5" in terminal.getvalue()
    assert len(capsys.readouterr().out.splitlines()) == 6
    silent = io.StringIO()
    monkeypatch.setattr(predict, "stderr", Console(file=silent))
    assert ask(server, folder, "--csv") == 1
    assert silent.getvalue() == ""


def test_a_server_that_is_gone_ends_it_after_a_few_photos(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(retries, "BASE_DELAY_S", 0.0001)
    for number in range(50):
        (tmp_path / f"{number:02}.jpg").write_bytes(b"x")
    assert ask("http://127.0.0.1:9", tmp_path) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == predict.GIVE_UP_AFTER
    assert "cannot be reached" in told[-1]
    assert ".jpg" not in told[-1]


def test_a_refused_token_or_an_unknown_model_ends_it_at_once(httpserver, folder, capsys):
    httpserver.expect_request("/predictions/clothing").respond_with_json({}, status=401)
    assert ask(httpserver.url_for("").rstrip("/"), folder) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--json", "--csv"], "exclude each other"),
        (["--top-k", "0"], "must be 1 or more"),
        (["--in-flight", "0"], "must be 1 or more"),
        (["--ca-file", "/absent.pem"], "/absent.pem"),
        (["--token-file", "/absent"], "token file"),
    ],
)
def test_flags_that_make_no_sense_are_one_line_and_exit_with_2(server, folder, capsys, words, told):
    assert ask(server, folder, *words) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert told in complaint


def test_only_the_server_knows_its_models(folder, capsys):
    assert main(["predict", str(folder), "--address", "host"]) == 2
    assert "--model" in capsys.readouterr().err
