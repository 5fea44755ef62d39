"""Code in an archive that is not this installation's own."""

import pytest

from serving.archive.reader import read_archive
from serving.errors import ForeignCodeError
from serving.rollout.trust import STRICT, Trust


@pytest.mark.parametrize(
    ("files", "model", "reason"),
    [
        (
            {"handlers/images/decoding.py": b"import os"},
            {},
            "its handlers/images/decoding.py differs",
        ),
        ({"entry.py": b""}, {}, "its entry.py differs"),
        ({"handlers/extra.py": b""}, {}, "it holds handlers/extra.py"),
        ({"torch.py": b""}, {}, "it holds torch.py"),
        ({"torch/__init__.pyc": b""}, {}, "it holds torch/__init__.pyc"),
        ({"site.pth": b""}, {}, "it holds site.pth"),
        ({"model.pt": b""}, {}, "it holds model.pt"),
        ({"probes/sub/x.so": b""}, {}, "it holds probes/sub/x.so"),
        ({}, {"handler": "mine.py:run"}, "its handler is 'mine.py:run', not 'entry.py'"),
        ({}, {"requirementsFile": "requirements.txt"}, "other settings or requirements"),
        ({}, {"configFile": "other.yaml"}, "other settings"),
    ],
)
def test_foreign_code_is_refused_unless_allowed(archive_maker, files, model, reason):
    archive = read_archive(archive_maker(files=files, model=model))
    with pytest.raises(ForeignCodeError, match="--allow-custom-handler") as caught:
        STRICT.accept(archive)
    assert reason in str(caught.value)
    assert Trust(allow_custom_handler=True).accept(archive) is archive
