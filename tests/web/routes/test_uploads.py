import pytest

from engine import settings
from engine.records import db
from engine.words import Role

CSV = b"name,amount\nbolt,3\nnut,4\n"


def send(client, content=CSV, name="parts.csv", field="file"):
    return client.post("/api/uploads", files={field: (name, content, "text/csv")})


def stored(data_dir):
    return list((data_dir / "uploads").iterdir())


def test_upload_is_stored_for_its_sender(people, data_dir):
    answer = send(people.by_cookie("sam"), name="../../etc/parts.csv")
    assert answer.status_code == 201
    document = answer.json()
    assert document["filename"] == "parts.csv"
    assert document["size_bytes"] == len(CSV)
    (path,) = stored(data_dir)
    assert path.read_bytes() == CSV
    assert path.stat().st_mode & 0o777 == 0o600
    assert db.main().value("select owner from uploads where id = :id", id=document["upload_id"]) == "sam"


@pytest.mark.parametrize("extra", [1, 100_000])
def test_one_byte_too_much_is_413_and_nothing_is_kept(people, data_dir, monkeypatch, extra):
    monkeypatch.setenv("OFFLOAD_UPLOAD_BYTES", str(len(CSV)))
    settings.get.cache_clear()
    client = people.by_token("sam")
    assert send(client).status_code == 201
    answer = send(client, CSV + b"x" * extra)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert len(stored(data_dir)) == 1


def test_file_over_the_limit_is_told_at_the_field(people, monkeypatch):
    monkeypatch.setenv("OFFLOAD_UPLOAD_BYTES", str(len(CSV)))
    settings.get.cache_clear()
    answer = send(people.by_token("sam"), CSV + b"x")
    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (413, ["file"])


def test_what_is_not_the_file_its_name_says_is_told_at_the_field(people, data_dir):
    client = people.by_token("sam")
    for content, name in (
        (b"%PDF-1.4", "a.xlsx"),
        (CSV, "a.exe"),
        (b"", "a.csv"),
        (b"\x00\xff\xfe", "a.csv"),
    ):
        answer = send(client, content, name)
        assert answer.status_code == 422
        assert "file" in answer.json()["error"]["fields"]
    assert stored(data_dir) == []


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{}", "application/json"),
        (b"", "multipart/form-data; boundary=x"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"--x\r\n", "multipart/form-data"),
        (
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\ntext\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
    ],
)
def test_forms_without_a_file_are_422(people, data_dir, content, kind):
    answer = people.by_token("sam").post("/api/uploads", content=content, headers={"Content-Type": kind})
    assert answer.status_code == 422
    assert set(answer.json()["error"]["fields"]) == {"file"}


def test_two_files_are_refused(people, data_dir):
    files = [("file", ("a.csv", CSV, "text/csv")), ("file", ("b.csv", CSV, "text/csv"))]
    assert people.by_token("sam").post("/api/uploads", files=files).status_code == 422
    assert stored(data_dir) == []


def test_viewers_and_strangers_send_nothing(people, data_dir):
    assert send(people.by_token("vera", Role.VIEWER)).status_code == 403
    assert send(people.client()).status_code == 401
    assert stored(data_dir) == []
