import functools
import gzip
import hashlib
import http.server
import random
import socket
import threading

import pytest

from brian_qif.cli import main
from brian_qif.data import download as downloads
from brian_qif.data.download import PublishedFile, PublishedSet, download, download_folder

CONTENT = random.Random(0).randbytes(400_000)
PACKED = gzip.compress(CONTENT, mtime=0)
ARRIVED = len(PACKED) // 2 // downloads._CHUNK * downloads._CHUNK  # of a transfer broken off half-way, whole chunks


def md5(content):
    return hashlib.md5(content).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves one file, honouring ranges; the server's ``plan`` says what becomes of each request."""

    def do_GET(self):
        plan = self.server.plan.pop(0) if self.server.plan else "whole"
        self.server.ranges.append(self.headers.get("Range"))
        if plan == "missing":
            self.send_error(404)
            return
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        start = 0 if plan == "no ranges" else start
        if start >= len(self.server.content):
            self.send_error(416)
            return
        content = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if plan == "silent":
            self.server.released.wait(10)
            return
        self.wfile.write(content[: len(content) // 2] if plan == "broken" else content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.plan, server.ranges, server.released = PACKED, [], [], threading.Event()
    thread = threading.Thread(target=functools.partial(server.serve_forever, 0.01), daemon=True)
    thread.start()
    publish(monkeypatch, server.server_port)
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


def publish(monkeypatch, port, unpacked=CONTENT):
    file = PublishedFile("words.h5.gz", md5(PACKED), md5(unpacked))
    monkeypatch.setitem(downloads.SETS, "shd", PublishedSet(f"http://127.0.0.1:{port}/", (file,), "terms"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_a_good_file_is_unpacked_and_fetched_once(server, tmp_path):
    for _ in range(2):
        (path,) = download("shd", tmp_path, progress=False)
        assert path == tmp_path / "words.h5"
        assert path.read_bytes() == CONTENT
    assert len(server.ranges) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["words.h5"]


def test_a_changed_file_is_fetched_anew(server, tmp_path):
    (tmp_path / "words.h5").write_bytes(b"half of it")
    (path,) = download("shd", tmp_path, progress=False)
    assert path.read_bytes() == CONTENT


def test_a_broken_transfer_goes_on_at_once(server, tmp_path):
    server.plan = ["broken"]
    (path,) = download("shd", tmp_path, progress=False)
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={ARRIVED}-"]


def test_a_transfer_that_stays_broken_goes_on_next_time(server, tmp_path):
    server.plan = ["broken", "missing"]
    with pytest.raises(OSError, match="the server answered 404 Not Found. What arrived is kept"):
        download("shd", tmp_path, progress=False)
    assert (tmp_path / "words.h5.gz.part").stat().st_size == ARRIVED
    (path,) = download("shd", tmp_path, progress=False)
    assert path.read_bytes() == CONTENT
    assert server.ranges[-1] == f"bytes={ARRIVED}-"


def test_a_server_that_breaks_off_every_time(server, tmp_path):
    server.plan = ["broken"] * 3
    with pytest.raises(OSError, match="words.h5.gz' could not be fetched: the transfer was broken off"):
        download("shd", tmp_path, progress=False)


def test_a_server_without_ranges_starts_over(server, tmp_path):
    server.plan = ["broken", "no ranges"]
    (path,) = download("shd", tmp_path, progress=False)
    assert path.read_bytes() == CONTENT


def test_a_partial_file_that_is_too_long_is_thrown_away(server, tmp_path):
    (tmp_path / "words.h5.gz.part").write_bytes(PACKED + b"more")
    assert download("shd", tmp_path, progress=False)[0].read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(PACKED) + 4}-", None]


def test_a_wrong_file_is_refused_and_deleted(server, tmp_path):
    server.content = gzip.compress(b"something else")
    with pytest.raises(
        ValueError, match="is not the published file: its MD5 sum is another. It was deleted; try again"
    ):
        download("shd", tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_unpacks_to_something_else(server, monkeypatch, tmp_path):
    publish(monkeypatch, server.server_port, unpacked=b"other")
    with pytest.raises(ValueError, match="does not unpack to the published file"):
        download("shd", tmp_path, progress=False)
    assert not (tmp_path / "words.h5").exists()


def test_no_network_is_one_clear_line(monkeypatch, tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        publish(monkeypatch, taken.getsockname()[1])
        assert main(["data", "download", "shd", "--folder", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert "could not be fetched: there is no connection to the server. What arrived is kept" in message
    assert "Without a network, train on the data that come with the package" in message
    assert message.count("\n") == 1


def test_a_server_that_says_nothing_does_not_hang(server, monkeypatch, tmp_path):
    monkeypatch.setattr(downloads, "_SECONDS", 0.3)
    server.plan = ["silent"]
    with pytest.raises(OSError, match="could not be fetched: nothing came for 0.3 s|no connection"):
        download("shd", tmp_path, progress=False)


def test_the_command_says_where_the_files_are(server, tmp_path, capsys):
    assert main(["data", "download", "shd", "--folder", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"terms.\n{tmp_path / 'words.h5'}\n"
    assert "words.h5.gz" in shown.err and "100%" in shown.err


def test_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("BRIAN_QIF_DOWNLOADS", str(tmp_path))
    assert download_folder() == tmp_path
    assert download_folder("elsewhere").name == "elsewhere"
    monkeypatch.delenv("BRIAN_QIF_DOWNLOADS")
    assert download_folder().name == "brian_qif"


def test_an_unknown_set(tmp_path):
    with pytest.raises(ValueError, match="There is no data set 'tidigits' to download; there are shd"):
        download("tidigits", tmp_path)


def test_the_published_sums():
    files = {file.name: (file.packed, file.unpacked) for file in downloads.SETS["shd"].files}
    assert files == {
        "shd_train.h5.gz": ("d47c9825dee33347913e8ce0f2be08b0", "8e9877c85f29a28dd353ea6a54402667"),
        "shd_test.h5.gz": ("3062a80ec0c5719404d5b02e166543b1", "207ad1295a0ab611e22d1734989c254e"),
    }
