from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_delegate import FileMissing, FileRefused, FileUnreadable, NotAFile, PathRefused
from flask_delegate.resolve import resolve


def test_a_file_below_the_root_is_found(root: Path) -> None:
    (root / "deep" / "er").mkdir(parents=True)
    (root / "deep" / "er" / "a.txt").write_bytes(b"12345")
    found = resolve(str(root), Path("deep/er/a.txt"))
    assert (found.path, found.relative) == (str(root / "deep/er/a.txt"), "deep/er/a.txt")
    assert (found.name, found.size) == ("a.txt", 5)
    assert resolve(str(root), "./deep//er/./a.txt") == found


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../secret", "deep/../report.txt", "..", "a/../../secret", "report.txt\0.png"],
)
def test_a_path_that_is_not_one_below_the_root_is_refused(root: Path, name: str) -> None:
    with pytest.raises(PathRefused) as caught:
        resolve(str(root), name)
    assert (caught.value.path, caught.value.root) == (name, str(root))


def test_a_name_that_the_file_system_cannot_write_is_refused_with_the_cure(root: Path) -> None:
    with pytest.raises(PathRefused, match=r"--locale C\.UTF-8"):
        resolve(str(root), "lone surrogate \ud800")


def test_bytes_are_not_a_path(root: Path) -> None:
    with pytest.raises(TypeError, match="not bytes"):
        resolve(str(root), b"report.txt")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["missing", "report.txt/x", "a" * 300, "no/such/folder"])
def test_what_is_not_there_is_missing(root: Path, name: str) -> None:
    with pytest.raises(FileMissing):
        resolve(str(root), name)


@pytest.mark.parametrize(
    "name", ["", ".", "./", "folder", "folder/", "report.txt/", "fifo", "socket"]
)
def test_only_regular_files_count(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "folder").mkdir()
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        # A socket's path is at most 108 bytes long, so it is bound by a relative one.
        monkeypatch.chdir(root)
        listener.bind("socket")
        with pytest.raises(NotAFile):
            resolve(str(root), name)


def test_a_link_that_leaves_the_root_is_refused(root: Path) -> None:
    sibling = root.with_name("files-secret")
    sibling.mkdir()
    (sibling / "x").write_text("secret")
    (root / "file").symlink_to(sibling / "x")
    (root / "folder").symlink_to(sibling)
    (root / "up").symlink_to("..")
    (root / "itself").symlink_to(".")
    for name in ("file", "folder/x", "up/files-secret/x", "up", "itself"):
        with pytest.raises(PathRefused):
            resolve(str(root), name)


def test_a_link_inside_the_root_is_resolved(root: Path) -> None:
    (root / "latest").symlink_to("report.txt")
    (root / "self").symlink_to(".")
    found = resolve(str(root), "latest")
    assert (found.relative, found.name) == ("report.txt", "latest")
    assert resolve(str(root), "self/self/latest").relative == "report.txt"


@pytest.mark.parametrize(
    ("target", "reason"),
    [("missing", "No such file or directory"), ("loop", "Too many levels of symbolic links")],
)
def test_a_dangling_or_circular_link_is_missing(root: Path, target: str, reason: str) -> None:
    (root / "loop").symlink_to(target)
    with pytest.raises(FileMissing, match=reason):
        resolve(str(root), "loop")


def test_an_unreadable_file_is_said_to_be_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may read everything, so the answer of the system is replaced; the live tests have it.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(FileUnreadable, match=f"user id {os.geteuid()} may not read it"):
        resolve(str(root), "report.txt")


def test_a_file_replaced_after_the_check_is_not_opened(root: Path) -> None:
    secret = root.with_name("secret")
    secret.write_text("secret")
    path = root / "report.txt"
    ways: list[tuple[str, Callable[[], object]]] = [
        ("Too many levels of symbolic links", lambda: path.symlink_to(secret)),
        ("replaced while it was being opened", lambda: secret.rename(path)),
    ]
    for reason, replace in ways:
        path.unlink(missing_ok=True)
        path.write_text("public")
        found = resolve(str(root), "report.txt")
        path.unlink()
        replace()
        with pytest.raises(FileMissing, match=reason):
            found.open()


def test_a_fifo_in_the_files_place_does_not_hold_the_thread(root: Path) -> None:
    found = resolve(str(root), "report.txt")
    (root / "report.txt").unlink()
    os.mkfifo(root / "report.txt")
    with pytest.raises(FileMissing, match="replaced"):
        found.open()


@given(st.text())
def test_whatever_is_asked_for_nothing_outside_is_found(name: str) -> None:
    # /proc is a folder full of links, files and oddities that all tests share.
    try:
        found = resolve("/proc/self/task", name)
    except FileRefused:
        return
    assert found.path.startswith("/proc/self/task/")


def test_what_is_known_of_a_file_is_the_disks(root: Path) -> None:
    path = root / "report.txt"
    os.utime(path, ns=(1, 1_700_000_000_123_456_789))
    found, info = resolve(str(root), "report.txt"), path.stat()
    assert (found.root, found.size, found.mtime_ns) == (str(root), 16, info.st_mtime_ns)
    assert found.identity == (info.st_dev, info.st_ino)
    with found.open() as file:
        assert file.read() == b"private content\n"
        assert not os.get_inheritable(file.fileno())


@pytest.mark.parametrize("function", ["lstat", "access", "open"])
def test_a_right_that_is_missing_is_said_to_be_so(
    root: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    """Root has every right, so the system's answer is replaced."""
    (root / "folder").mkdir()
    (root / "folder" / "a.txt").touch()
    found = resolve(str(root), "folder/a.txt")
    inside, real = str(root / "folder" / "a.txt"), getattr(os, function)

    def refuse(path: str, *words: int) -> object:
        if path != inside:
            return real(path, *words)
        if function == "access":
            assert words == (os.R_OK,)
            return False
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, function, refuse)
    with pytest.raises(FileUnreadable) as caught:
        found.open() if function == "open" else resolve(str(root), "folder/a.txt")
    assert (caught.value.path, caught.value.root) == ("folder/a.txt", str(root))
    assert caught.value.reason in {
        "permission denied.",
        f"user id {os.geteuid()} may not read it.",
        f"user id {os.geteuid()} may not enter the folder of {inside}.",
    }


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing", "No such file or directory."),
        ("report.txt/x", "Not a directory."),
        ("folder", "a directory, not a regular file."),
        ("fifo", "a FIFO, not a regular file."),
        ("out", "a symbolic link that leaves the root, to /etc/passwd."),
        ("folder/..", "it contains '..'."),
    ],
)
def test_the_reason_is_told(root: Path, name: str, reason: str) -> None:
    (root / "folder").mkdir()
    (root / "out").symlink_to("/etc/passwd")
    os.mkfifo(root / "fifo")
    with pytest.raises(FileRefused) as caught:
        resolve(str(root), name)
    assert (caught.value.path, caught.value.root) == (name, str(root))
    assert caught.value.reason == reason
    assert str(caught.value) == f"{name!r} in {root}: {reason}"


def test_a_device_is_no_file() -> None:
    with pytest.raises(NotAFile, match="a device, not a regular file"):
        resolve("/dev", "null")


def test_a_link_put_in_the_files_place_while_it_is_resolved_is_not_followed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "link").symlink_to("report.txt")
    monkeypatch.setattr(os.path, "realpath", lambda path, **_: str(path))
    with pytest.raises(FileMissing, match="replaced by a symbolic link"):
        resolve(str(root), "link")
