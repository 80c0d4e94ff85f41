"""What is sent is kept whole and private, or not at all."""

import io
import stat

import pytest

from engine import clock, errors
from engine.lib import child
from engine.queries import files
from engine.records import db
from engine.services import uploads
from engine.words import Actor, Role

ANNA = Actor("anna", Role.STAFF)
CSV = b"name,amount\nAnna,1\nBob,2.5\n"


@pytest.fixture(autouse=True, scope="module")
def no_server_left():
    yield
    child.forget()


@pytest.fixture(autouse=True)
def data(data_dir):
    return data_dir


def store(content=CSV, name="sales.csv", actor=ANNA):
    return uploads.store(actor, name, io.BytesIO(content))


def stored_files(data_dir):
    folder = data_dir / "uploads"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_upload_is_stored_under_our_name_and_described(data):
    upload = store()
    assert (upload.owner, upload.filename, upload.kind, upload.size_bytes) == ("anna", "sales.csv", "csv", 27)
    assert upload.facts["columns"] == ["name", "amount"]
    assert upload.facts["numeric"] == ["amount"]
    assert upload.facts["n_rows"] == 2
    assert upload.facts["preview"] == [["Anna", "1"], ["Bob", "2.5"]]
    assert upload.expires_at_ms - upload.created_at_ms == 24 * 3_600_000
    assert stored_files(data) == [f"{upload.id}.csv"]
    assert stat.S_IMODE(uploads.path_of(upload).stat().st_mode) == 0o600
    assert uploads.path_of(upload).read_bytes() == CSV
    assert files.upload(upload.id) == upload


def test_every_upload_leaves_an_audit_row():
    upload = store()
    row = db.main().one("select actor, object from audit where action = 'upload.add'")
    assert tuple(row) == ("anna", upload.id)


HOSTILE = ["../../etc/x.csv", "C:\\Users\\x.csv", "<b>x</b>.csv", "x\x00\u202ey.csv", "x" * 300 + ".csv"]


@pytest.mark.parametrize("name", HOSTILE)
def test_name_from_outside_is_only_shown(data, name):
    upload = store(name=name)
    assert stored_files(data) == [f"{upload.id}.csv"]
    assert not set("/\\") & set(upload.filename)
    assert upload.filename.isprintable()
    assert len(upload.filename) <= 120


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"PK\x03\x04zip", "sales.csv", "Excel file or an archive"),
        (CSV, "sales.xlsx", "not an Excel workbook"),
        (CSV, "sales.pdf", "Only .csv"),
        ("a;b\n1;ü".encode("latin-1"), "sales.csv", "not UTF-8"),
        (",".join("x" * 201).encode() + b"\n1", "sales.csv", "201 columns"),
        (b"", "sales.csv", "empty"),
        (CSV, "", "no name"),
    ],
)
def test_bad_file_is_refused_at_its_field_and_nothing_stays(data, content, name, words):
    with pytest.raises(errors.InvalidInput, match=words) as caught:
        store(content, name)
    assert words in caught.value.fields["file"]
    assert stored_files(data) == []
    assert files.uploads_of("anna", now_ms=0) == []


def test_size_limit_is_exact(data, monkeypatch):
    monkeypatch.setenv("OFFLOAD_UPLOAD_BYTES", str(len(CSV)))
    uploads.settings.get.cache_clear()
    store()
    with pytest.raises(errors.TooLarge):
        store(CSV + b"\n")
    assert len(stored_files(data)) == 1


def test_file_that_unpacks_to_too_much_is_refused(data, monkeypatch):
    monkeypatch.setenv("OFFLOAD_UPLOAD_INFLATED_BYTES", "10")
    uploads.settings.get.cache_clear()
    with pytest.raises(errors.InvalidInput, match="larger than"):
        store()


@pytest.mark.parametrize("failure", [child.ChildTimedOut, child.ChildOutOfMemory, child.ChildCpuLimit])
def test_file_that_takes_too_much_to_read_is_refused(data, monkeypatch, failure):
    monkeypatch.setattr(uploads.child, "run", lambda *_, **__: (_ for _ in ()).throw(failure()))
    with pytest.raises(errors.InvalidInput, match="too large"):
        store()
    assert stored_files(data) == []


def test_crash_of_the_reader_says_try_again(data, monkeypatch):
    monkeypatch.setattr(uploads.child, "run", lambda *_, **__: (_ for _ in ()).throw(child.ChildCrashed()))
    with pytest.raises(errors.Unavailable):
        store()
    assert stored_files(data) == []


def test_people_see_their_own_uploads_until_they_expire(data, monkeypatch):
    upload = store()
    store(actor=Actor("bob", Role.OPS))
    assert uploads.mine(ANNA) == [upload]
    monkeypatch.setattr(clock, "_wall", lambda: upload.expires_at_ms / 1000)
    assert uploads.mine(ANNA) == []
