"""What every place of files promises, on a disk, on S3 and on an SFTP server; and what can go wrong at one of them."""

import errno
import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from service_seaweedfs import SeaweedFS
from service_sftp import LyingServer
from service_tcp_proxy import Fault, TcpProxy

from blocks.file_places.local import LocalPlace
from blocks.file_places.names import Pattern
from blocks.file_places.place import FileChanged, FilePlace, PlacedFile
from blocks.file_places.s3 import S3Place
from blocks.file_places.sftp import SftpPlace
from schemas.errors import ConfigError, SourceError, SourceUnavailable
from schemas.sources.files import SftpConnection
from tidegate.demo.sftp_server import SftpServer


class Site:
    """A place, and the other side of it: whoever puts files there."""

    def __init__(self, place: FilePlace, folder: Path) -> None:
        self.place, self.folder = place, folder

    def put(self, path: str, content: bytes = b"a,b\n1,2\n") -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        for folder in (target.parent, *target.parent.parents):
            if folder.is_relative_to(self.folder):
                folder.chmod(0o777)
        target.write_bytes(content)

    def content(self, path: str) -> bytes:
        return (self.folder / path).read_bytes()

    def paths(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())

    def age(self, path: str) -> None:
        """Make a file older, so that what is written next has another time even where times are whole seconds."""
        os.utime(self.folder / path, (1_700_000_000, 1_700_000_000))


class BucketSite(Site):
    def __init__(self, place: S3Place, server: SeaweedFS) -> None:
        super().__init__(place, Path("unused"))
        self._s3, self._bucket, self._prefix = server.client(), place.bucket, f"{place.prefix}/"

    def put(self, path: str, content: bytes = b"a,b\n1,2\n") -> None:
        self._s3.put_object(Bucket=self._bucket, Key=self._prefix + path, Body=content)

    def content(self, path: str) -> bytes:
        body: bytes = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + path)["Body"].read()
        return body

    def paths(self) -> list[str]:
        found = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix).get("Contents", [])
        return sorted(item["Key"].removeprefix(self._prefix) for item in found)

    def age(self, path: str) -> None:
        pass


@pytest.fixture(params=["local", "s3", "sftp"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """An empty place of each kind in turn."""
    if request.param == "local":
        folder = tmp_path / "drop"
        folder.mkdir()
        yield Site(LocalPlace(folder), folder)
    elif request.param == "s3":
        server: SeaweedFS = request.getfixturevalue("s3_server")
        place = S3Place(request.getfixturevalue("s3_bucket"), f"drop/{uuid.uuid4().hex[:12]}", server.access())
        yield BucketSite(place, server)
    else:
        sftp: SftpServer = request.getfixturevalue("sftp_server")
        folder = request.getfixturevalue("sftp_folder")
        with SftpPlace(SftpConnection(**sftp.connection()), folder.name) as place:
            yield Site(place, folder)


def paths(place: FilePlace, pattern: str) -> list[str]:
    return [file.path for file in place.list(pattern).files]


def only(place: FilePlace, pattern: str = "**") -> PlacedFile:
    (file,) = place.list(pattern).files
    return file


def test_files_are_listed_by_pattern_and_hidden_ones_are_not(site: Site) -> None:
    for path in ("b.csv", "a.csv", "x/a.csv", "x/y/z.csv", "x/note.txt", ".hidden.csv", ".git/a.csv", "a[1].csv"):
        site.put(path)
    assert paths(site.place, "*.csv") == ["a.csv", "a[1].csv", "b.csv"]
    assert paths(site.place, "x/*.csv") == ["x/a.csv"]
    assert paths(site.place, "**/*.csv") == ["a.csv", "a[1].csv", "b.csv", "x/a.csv", "x/y/z.csv"]
    assert paths(site.place, "x/**") == ["x/a.csv", "x/note.txt", "x/y/z.csv"]
    assert paths(site.place, "a[[]1].csv") == ["a[1].csv"]
    assert paths(site.place, "a.csv") == ["a.csv"]
    assert paths(site.place, "*/a.csv") == ["x/a.csv"]


def test_a_file_is_known_by_its_size_and_time_and_by_what_else_its_place_tells(site: Site) -> None:
    site.put("a.csv", b"12345")
    file = only(site.place)
    assert (file.path, file.size_bytes) == ("a.csv", 5)
    assert abs(file.modified_at.timestamp() - time.time()) < 60
    site.age("a.csv")
    file = only(site.place)
    assert site.place.look("a.csv") == file
    assert only(site.place) == file
    assert site.place.look("nothing.csv") is None
    site.put("a.csv", b"54321")
    changed = site.place.look("a.csv")
    assert changed is not None and changed.identity != file.identity


def test_a_file_is_fetched_as_it_is(site: Site, tmp_path: Path) -> None:
    content = os.urandom(3_000_001)
    site.put("in/big ü.bin", content)
    with site.place.fetch(only(site.place), tmp_path) as local:
        assert local.read_bytes() == content
    site.put("empty", b"")
    (empty,) = site.place.list("empty").files
    with site.place.fetch(empty, tmp_path) as local:
        assert local.read_bytes() == b""
    assert [path for path in tmp_path.iterdir() if path.is_file()] == [], "a copy was left behind"


def test_a_file_that_has_changed_since_it_was_listed_is_not_fetched_moved_or_deleted(
    site: Site, tmp_path: Path
) -> None:
    site.put("a.csv", b"first")
    site.age("a.csv")
    file = only(site.place)
    site.put("a.csv", b"other")
    with pytest.raises(FileChanged, match=r"a\.csv is not the"), site.place.fetch(file, tmp_path):
        pass
    with pytest.raises(FileChanged):
        site.place.move(file, "done")
    with pytest.raises(FileChanged):
        site.place.delete(file)
    assert (site.paths(), site.content("a.csv")) == (["a.csv"], b"other")


def test_a_file_that_is_gone_is_a_changed_one(site: Site, tmp_path: Path) -> None:
    site.put("a.csv")
    file = only(site.place)
    site.place.delete(file)
    with pytest.raises(FileChanged), site.place.fetch(file, tmp_path):
        pass
    with pytest.raises(FileChanged):
        site.place.delete(file)


def test_a_file_is_moved_with_its_folders_and_never_over_another_one(site: Site) -> None:
    site.put("in/orders.csv.gz", b"one")
    file = only(site.place)
    moment = f"{file.modified_at:%Y%m%dT%H%M%SZ}"
    site.put("done/in/orders.csv.gz", b"not mine")
    site.put(f"done/in/orders-{moment}.csv.gz", b"not mine either")
    moved = site.place.move(file, "done")
    assert moved.endswith(f"done/in/orders-{moment}-2.csv.gz")
    assert site.paths() == sorted(
        ["done/in/orders.csv.gz", f"done/in/orders-{moment}.csv.gz", f"done/in/orders-{moment}-2.csv.gz"]
    )
    assert site.content(f"done/in/orders-{moment}-2.csv.gz") == b"one"
    assert site.content("done/in/orders.csv.gz") == b"not mine"


def test_a_file_moves_to_a_folder_that_is_not_there_yet(site: Site) -> None:
    site.put("a.csv", b"one")
    site.place.move(only(site.place), "very/done")
    assert (site.paths(), site.content("very/done/a.csv")) == (["very/done/a.csv"], b"one")


def test_a_place_knows_which_folders_lie_in_it(site: Site) -> None:
    assert site.place.below("done/old") == "done/old"
    assert site.place.below("../elsewhere") is None or isinstance(site.place, S3Place)


def test_a_deleted_file_is_gone(site: Site) -> None:
    site.put("a.csv", b"one")
    site.put("b.csv", b"two")
    (first, _) = site.place.list("*").files
    site.place.delete(first, hashlib.sha256(b"one").hexdigest())
    assert site.paths() == ["b.csv"]


def test_names_that_are_no_plain_text_are_left_out_and_told(site: Site) -> None:
    site.put("good.csv")
    bad = [b"back\\slash.csv", b"new\nline.csv", b"\xff.csv", b"esc\x1b[31m.csv", b"delete\x7f.csv"]
    if isinstance(site, BucketSite):  # SeaweedFS keeps objects as files: of these keys it takes only one
        bad = bad[-1:]
    for name in bad:
        if isinstance(site, BucketSite):
            site.put(name.decode())
        else:
            Path(os.fsdecode(os.fsencode(site.folder) + b"/" + name)).write_bytes(b"a\n1\n")
    listing = site.place.list("*.csv")
    assert [file.path for file in listing.files] == ["good.csv"]
    told = {one.name: one.reason for one in listing.left_out}
    assert len(told) == len(bad)
    assert "control character" in told["delete\\x7f.csv"]
    assert "backslash" in told.get("back\\slash.csv", "backslash")
    assert all(name.isprintable() for name in told)


# A folder of this machine


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=f"The folder {tmp_path}/no is not there"):
        LocalPlace(tmp_path / "no").list("*")


def test_a_pattern_that_names_a_folder_is_told_from_one_that_fits_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(SourceError, match="in is a folder, and no file") as refused:
        LocalPlace(tmp_path).list("in")
    assert "in/*" in refused.value.next_step
    assert LocalPlace(tmp_path).list("out").files == []


def test_links_are_followed_within_the_folder_and_not_out_of_it(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    (drop / "a.csv").write_bytes(b"inside")
    (tmp_path / "secret.csv").write_bytes(b"outside")
    (drop / "out.csv").symlink_to(tmp_path / "secret.csv")
    (drop / "in.csv").symlink_to("a.csv")
    (drop / "nowhere.csv").symlink_to("no.csv")
    (drop / "ring").symlink_to(".")
    listing = LocalPlace(drop).list("**/*.csv")
    assert [file.path for file in listing.files] == ["a.csv", "in.csv"]
    assert [(one.name, one.reason) for one in listing.left_out] == [
        ("out.csv", "it is a link that leads out of the folder")
    ]
    place = LocalPlace(drop)
    place.move(listing.files[1], "done")
    assert (drop / "done/in.csv").read_bytes() == b"inside" and not (drop / "in.csv").exists()
    assert (drop / "a.csv").exists()


def test_a_local_file_with_other_bytes_than_were_read_is_not_deleted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"one")
    place = LocalPlace(tmp_path)
    with pytest.raises(FileChanged):
        place.delete(only(place), hashlib.sha256(b"two").hexdigest())
    assert (tmp_path / "a.csv").exists()


def test_a_file_that_is_written_to_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"one")
    place = LocalPlace(tmp_path)
    file = only(place)
    with pytest.raises(FileChanged), place.fetch(file, tmp_path) as local, local.open("ab") as growing:
        growing.write(b"more")


def test_a_delivery_that_comes_while_the_last_one_is_moved_is_not_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_bytes(b"one")
    copy, link = shutil.copy2, os.link

    def slow(source: Path, target: Path) -> None:
        copy(source, target)
        (tmp_path / "new").write_bytes(b"two")
        (tmp_path / "new").replace(tmp_path / "a.csv")

    def to_other_disk(source: Path, target: Path) -> None:
        if source == tmp_path / "a.csv":
            raise OSError(errno.EXDEV, "another disk")
        link(source, target)

    place = LocalPlace(tmp_path)
    file = only(place)
    monkeypatch.setattr(shutil, "copy2", slow)
    with monkeypatch.context() as patch, pytest.raises(FileChanged):
        patch.setattr(os, "link", to_other_disk)
        place.move(file, "done")
    assert (tmp_path / "a.csv").read_bytes() == b"two"


def test_a_link_to_itself_and_a_name_that_is_too_long_stop_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"one")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    place = LocalPlace(tmp_path)
    assert [file.path for file in place.list("*.csv").files] == ["a.csv"]
    assert place.look("x" * 300) is None


def test_a_file_moves_to_another_disk(tmp_path: Path) -> None:
    other = Path("/dev/shm") / f"tidegate-{uuid.uuid4().hex}"
    if not os.access("/dev/shm", os.W_OK) or Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("NOT TESTED HERE: a move to another disk; /dev/shm is not one, or may not be written")
    (tmp_path / "a.csv").write_bytes(b"one")
    place = LocalPlace(tmp_path)
    try:
        assert place.move(only(place), str(other)) == str(other / "a.csv")
        assert ((other / "a.csv").read_bytes(), list(tmp_path.iterdir())) == (b"one", [])
        assert [path.name for path in other.iterdir()] == ["a.csv"]
    finally:
        (other / "a.csv").unlink(missing_ok=True)
        other.rmdir()


# S3


def test_a_bucket_that_is_not_there_is_named(s3_server: SeaweedFS) -> None:
    with pytest.raises(SourceError, match="there is no such bucket") as refused:
        S3Place("nowhere", "", s3_server.access()).list("*")
    assert "s3://nowhere" in refused.value.what and "lake" not in str(refused.value)


def test_a_store_that_does_not_answer_is_worth_another_try(s3_server: SeaweedFS) -> None:
    access = s3_server.access(endpoint_url="http://127.0.0.1:9", config={"retries": {"total_max_attempts": 1}})
    with pytest.raises(SourceUnavailable, match="does not answer"):
        S3Place("lake", "", access).list("*")


def test_a_move_that_died_after_its_copy_is_brought_to_its_end(s3_server: SeaweedFS, s3_bucket: str) -> None:
    place = S3Place(s3_bucket, f"drop/{uuid.uuid4().hex[:12]}", s3_server.access())
    site = BucketSite(place, s3_server)
    site.put("a.csv", b"one")
    site.put("done/a.csv", b"one")
    place.move(only(place, "a.csv"), "done")
    assert site.paths() == ["done/a.csv"]


def test_a_move_that_died_after_its_claim_is_brought_to_its_end(
    s3_server: SeaweedFS, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = S3Place(s3_bucket, f"drop/{uuid.uuid4().hex[:12]}", s3_server.access())
    site = BucketSite(place, s3_server)
    site.put("a.csv", b"one")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(S3Place, "_copy", die)
        place.move(only(place), "done")
    assert site.paths() == ["a.csv", "done/a.csv"]
    place.move(only(place, "a.csv"), "done")
    assert (site.paths(), site.content("done/a.csv")) == (["done/a.csv"], b"one")


# SFTP: who the server is


def sftp(server: SftpServer, folder: Path, **changes: Any) -> SftpPlace:
    return SftpPlace(SftpConnection(**server.connection(**changes)), folder.name)


def other_key() -> str:
    import paramiko

    key = paramiko.ECDSAKey.generate()
    return f"{key.get_name()} {key.get_base64()}"


def refused(place: SftpPlace, kind: type[SourceError] | type[ConfigError] = SourceError) -> str:
    with pytest.raises(kind) as error, place:
        pass
    assert "s/p@ce" not in str(error.value)
    assert error.value.state and error.value.next_step
    return str(error.value)


def test_a_changed_host_key_is_refused_with_both_fingerprints(sftp_server: SftpServer, sftp_folder: Path) -> None:
    told = refused(sftp(sftp_server, sftp_folder, host_key=other_key()))
    assert f"127.0.0.1:{sftp_server.port} has another key than it should have" in told
    assert told.count("SHA256:") == 2
    assert "Accepted" not in sftp_server.log.rpartition("Connection from")[2], "it logged in nevertheless"


def test_an_unknown_host_is_refused_and_is_not_known_the_next_time_either(
    sftp_server: SftpServer, sftp_folder: Path, tmp_path: Path
) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"elsewhere {sftp_server.host_key}\n")
    for _ in range(2):
        told = refused(sftp(sftp_server, sftp_folder, host_key=None, known_hosts=known))
        assert "is not known: expected none, got ecdsa-sha2-nistp256 SHA256:" in told
        assert f"ssh-keyscan -p {sftp_server.port} 127.0.0.1" in told
    assert known.read_text() == f"elsewhere {sftp_server.host_key}\n"


def test_a_host_in_the_file_of_known_hosts_is_known(sftp_server: SftpServer, sftp_folder: Path, tmp_path: Path) -> None:
    import paramiko

    known, name = tmp_path / "known_hosts", f"[127.0.0.1]:{sftp_server.port}"
    for line in (name, paramiko.HostKeys.hash_host(name)):
        known.write_text(f"# mine\nodd line\nx ssh-rsa AAAA\n{line} {sftp_server.host_key}\n")
        with sftp(sftp_server, sftp_folder, host_key=None, known_hosts=known) as place:
            assert place.list("*").files == []
    known.write_text(f"{name} {other_key()}\n")
    assert "has another key" in refused(sftp(sftp_server, sftp_folder, host_key=None, known_hosts=known))
    known.write_text(f"{name} {sftp_server.host_key}\n@revoked * {sftp_server.host_key}\n")
    assert "is not known" in refused(sftp(sftp_server, sftp_folder, host_key=None, known_hosts=known))


def test_a_file_of_known_hosts_that_is_not_there_is_named(
    sftp_server: SftpServer, sftp_folder: Path, tmp_path: Path
) -> None:
    place = sftp(sftp_server, sftp_folder, host_key=None, known_hosts=tmp_path / "no")
    assert f"connection.known_hosts: there is no file {tmp_path}/no" in refused(place, ConfigError)


def test_a_wrong_password_is_told_and_not_worth_another_try(sftp_server: SftpServer, sftp_folder: Path) -> None:
    with pytest.raises(SourceError) as error, sftp(sftp_server, sftp_folder, password="hunter2"):
        pass
    assert "does not let the user partner in with this password" in error.value.what
    assert "hunter2" not in str(error.value)
    assert not isinstance(error.value, SourceUnavailable)


def test_a_key_lets_in_and_another_one_does_not(sftp_server: SftpServer, sftp_folder: Path, tmp_path: Path) -> None:
    import paramiko

    with sftp(sftp_server, sftp_folder, password=None, key_file=sftp_server.client_key) as place:
        assert place.list("*").files == []
    other, locked = tmp_path / "other", tmp_path / "locked"
    paramiko.ECDSAKey.generate().write_private_key_file(str(other))
    assert "in with this key" in refused(sftp(sftp_server, sftp_folder, password=None, key_file=other))
    paramiko.RSAKey.from_private_key_file(str(sftp_server.client_key)).write_private_key_file(str(locked), "open it")
    with sftp(sftp_server, sftp_folder, password=None, key_file=locked, key_passphrase="open it") as place:
        assert place.list("*").files == []
    without = sftp(sftp_server, sftp_folder, password=None, key_file=locked)
    assert "it has a passphrase (connection.key_passphrase)" in refused(without, ConfigError)
    wrong = sftp(sftp_server, sftp_folder, password=None, key_file=locked, key_passphrase="hunter2")
    assert "key_passphrase is not the right one" in refused(wrong, ConfigError)
    missing = sftp(sftp_server, sftp_folder, password=None, key_file=tmp_path / "no")
    assert f"connection.key_file: {tmp_path}/no: No such file" in refused(missing, ConfigError)


def test_a_server_that_does_not_answer_is_worth_another_try(sftp_server: SftpServer, sftp_folder: Path) -> None:
    with pytest.raises(SourceUnavailable, match="could not be reached"), sftp(sftp_server, sftp_folder, port=9):
        pass


# SFTP: what it sends


def sent_bytes(server: SftpServer, sessions: int) -> int:
    """Return what the last session was sent, once the server has logged the end of so many."""
    until = time.monotonic() + 10
    while len(sent := server.log.split("Transferred: sent ")[1:]) < sessions:
        assert time.monotonic() < until, server.log
        time.sleep(0.05)
    return int(sent[-1].split(",")[0])


def test_a_download_that_was_cut_goes_on_where_it_was_cut(
    sftp_server: SftpServer, sftp_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    content = os.urandom(20_000_000)
    (sftp_folder / "big.bin").write_bytes(content)
    ended = sftp_server.log.count("Transferred: sent ")
    with TcpProxy(sftp_server.port) as proxy:
        proxy.plan(Fault("cut", after_bytes=int(len(content) * 0.6)))
        with sftp(sftp_server, sftp_folder, port=proxy.port) as place:
            file = only(place)
            with place.fetch(file, tmp_path) as local:
                found = hashlib.sha256(local.read_bytes()).hexdigest()
            assert proxy.done == 1
    assert found == hashlib.sha256(content).hexdigest()
    resumed = sent_bytes(sftp_server, ended + 1)  # the session that was cut is not told of
    (before,) = re.findall(r"event=download_cut .* bytes=(\d+) of=20000000", caplog.text)
    assert 0 < int(before) < len(content) * 0.6
    assert resumed < (len(content) - int(before)) * 1.02 + 50_000, "what had arrived was sent again"


def test_a_connection_that_is_cut_again_and_again_is_given_up(
    sftp_server: SftpServer, sftp_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blocks.file_places.sftp._PAUSE_S", 0.001)
    (sftp_folder / "big.bin").write_bytes(os.urandom(3_000_000))
    with TcpProxy(sftp_server.port) as proxy, sftp(sftp_server, sftp_folder, port=proxy.port) as place:
        file = only(place)
        proxy.plan(Fault("cut", after_bytes=20_000, times=1000))
        with pytest.raises(SourceUnavailable, match="cut again and again"), place.fetch(file, tmp_path):
            pass
        assert list(tmp_path.iterdir()) == []
        proxy.plan()
        with place.fetch(file, tmp_path) as local:
            assert local.stat().st_size == 3_000_000


def test_a_server_that_falls_silent_is_not_waited_for_without_end(
    sftp_server: SftpServer, sftp_folder: Path, tmp_path: Path
) -> None:
    (sftp_folder / "big.bin").write_bytes(os.urandom(3_000_000))
    server = TcpProxy(sftp_server.port)
    with server as proxy, sftp(sftp_server, sftp_folder, port=proxy.port, timeout_s=0.5) as place:
        file = only(place)
        proxy.plan(Fault("stall", after_bytes=1_000_000))
        with place.fetch(file, tmp_path) as local:
            assert local.stat().st_size == 3_000_000
        assert proxy.done == 1


def test_a_file_that_another_one_took_the_place_of_is_not_put_together_from_both(
    sftp_server: SftpServer, sftp_folder: Path, tmp_path: Path
) -> None:
    target = sftp_folder / "big.bin"
    target.write_bytes(b"1" * 5_000_000)
    os.utime(target, (1_700_000_000, 1_700_000_000))
    with TcpProxy(sftp_server.port) as proxy, sftp(sftp_server, sftp_folder, port=proxy.port) as place:
        file = only(place)
        proxy.plan(Fault("cut", after_bytes=2_000_000))
        reconnect = place.__enter__

        def meanwhile() -> SftpPlace:
            target.write_bytes(b"2" * 5_000_000)
            return reconnect()

        place.__enter__ = meanwhile  # type: ignore[method-assign]
        with pytest.raises(FileChanged), place.fetch(file, tmp_path):
            pass


def test_links_on_the_server_are_files_and_links_to_folders_are_left_out(
    sftp_server: SftpServer, sftp_folder: Path
) -> None:
    (sftp_folder / "a.csv").write_bytes(b"one")
    (sftp_folder / "link.csv").symlink_to("a.csv")
    (sftp_folder / "dead.csv").symlink_to("nothing")
    (sftp_folder / "ring").symlink_to(".")
    with sftp(sftp_server, sftp_folder) as place:
        assert paths(place, "**/*.csv") == ["a.csv", "link.csv"]


def test_a_name_of_a_lying_server_is_never_a_path(tmp_path: Path) -> None:
    names = {b"../../x.csv": b"evil", b"/etc/x.csv": b"evil", b"a\x00b.csv": b"evil", b"good.csv": b"a\n1\n"}
    scratch = tmp_path / "a" / "b"
    scratch.mkdir(parents=True)
    with LyingServer(names) as server, SftpPlace(SftpConnection(**server.connection()), "in") as place:
        listing = place.list("**/*.csv")
        assert [file.path for file in listing.files] == ["good.csv"]
        assert sorted(one.name for one in listing.left_out) == ["../../x.csv", "/etc/x.csv", "a\\x00b.csv"]
        with place.fetch(listing.files[0], scratch) as local:
            assert local.parent == scratch
        assert {path for path in server.asked if "x.csv" in path or "\x00" in path} == set()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("*.csv", "a/b.csv", False), ("**", "a/b/c", True), ("**/b", "b", True), ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True), ("[ab].csv", "b.csv", True), ("[!ab].csv", "b.csv", False),
        ("[a.csv", "[a.csv", True), ("?.csv", "ab.csv", False), ("./a.csv", "a.csv", True),
        ("A.csv", "a.csv", False), ("a[]]b", "a]b", True), ("[a-c]", "b", True), ("a.b", "axb", False),
    ],
)  # fmt: skip
def test_patterns(pattern: str, path: str, fits: bool) -> None:
    assert Pattern(pattern).fits(path) == fits
