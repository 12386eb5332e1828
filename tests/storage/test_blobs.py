"""Attachment bytes: on disk before anyone is told, under names of our own."""

import asyncio
import hashlib
import io
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_hub.storage.blobs import BlobNotFoundError, FileBlobStore


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x00\xff\r\n\x1a", id="any bytes"),
        pytest.param(bytes(range(256)) * 4096, id="more than one chunk"),
    ],
)
async def test_bytes_come_back_as_they_were_given(tmp_path: Path, content: bytes) -> None:
    store = FileBlobStore(tmp_path / "attachments")
    source = io.BytesIO(content)
    source.seek(0, io.SEEK_END)
    stored = await store.put(source)
    path = await store.get_path(stored.key)
    assert path.read_bytes() == content
    assert stored.size_bytes == len(content)
    assert stored.sha256 == hashlib.sha256(content).hexdigest()


async def test_equal_bytes_are_two_blobs_each_with_a_name_of_its_own(tmp_path: Path) -> None:
    store = FileBlobStore(tmp_path)
    first, second = await asyncio.gather(*(store.put(io.BytesIO(b"photo")) for _ in range(2)))
    assert first.key != second.key
    await store.delete(first.key)
    await store.delete(first.key)
    with pytest.raises(BlobNotFoundError):
        await store.get_path(first.key)
    assert (await store.get_path(second.key)).read_bytes() == b"photo"


async def test_only_the_hubs_own_user_may_read_a_blob(tmp_path: Path) -> None:
    store = FileBlobStore(tmp_path / "attachments")
    path = await store.get_path((await store.put(io.BytesIO(b"photo"))).key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "attachments").stat().st_mode) == 0o700


async def test_the_file_and_all_folders_are_flushed_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File first, then its name, then the folders that lead to it, up to one that was there."""
    flushed: list[tuple[Path, bool]] = []
    root = tmp_path / "attachments"

    def note(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        named = any(not item.name.startswith(".") for item in _files(root))
        flushed.append((path, named))

    monkeypatch.setattr(os, "fsync", note)
    path = await FileBlobStore(root).put(io.BytesIO(b"photo"))
    folder = root / path.key[:2]
    assert flushed[0] == (tmp_path, False)
    assert flushed[1][0].parent == folder
    assert flushed[1][1] is False
    assert flushed[2:] == [(folder, True), (root, True)]


class _BrokenUpload(io.BytesIO):
    """An upload that ends with an error after its first chunk."""

    def read(self, size: int | None = -1) -> bytes:
        chunk = super().read(size)
        if not chunk:
            raise OSError("the upload broke off")
        return chunk


async def test_a_failure_leaves_no_file_behind(tmp_path: Path) -> None:
    store = FileBlobStore(tmp_path / "attachments")
    with pytest.raises(OSError, match="broke off"):
        await store.put(_BrokenUpload(b"half a photo"))
    assert _files(tmp_path) == []


async def test_what_a_killed_process_left_half_written_is_removed_once_it_is_old(
    tmp_path: Path,
) -> None:
    store = FileBlobStore(tmp_path)
    await store.remove_unfinished()
    kept = await store.get_path((await store.put(io.BytesIO(b"photo"))).key)
    old, young = kept.parent / ".new-old", kept.parent / ".new-young"
    for path in (old, young):
        path.write_bytes(b"half a pho")
    two_hours_ago = old.stat().st_mtime - 7200
    for path in (old, kept):
        os.utime(path, (two_hours_ago, two_hours_ago))
    await asyncio.gather(*(store.remove_unfinished() for _ in range(4)))
    assert sorted(_files(tmp_path)) == sorted([young, kept])


async def test_a_folder_that_cannot_be_written_is_found_by_the_check(tmp_path: Path) -> None:
    await FileBlobStore(tmp_path / "new" / "attachments").check()
    assert _files(tmp_path) == []
    (tmp_path / "a file").write_text("in the way")
    with pytest.raises(OSError, match="a file"):
        await FileBlobStore(tmp_path / "a file").check()


@pytest.mark.parametrize(
    "key",
    [
        "",
        ".",
        "..",
        "../secret.key",
        "/etc/passwd",
        "ab/../../secret.key",
        "aa\0bb",
        "a" * 300,
        "ªº",
        "\N{FULLWIDTH LATIN SMALL LETTER A}b",
        "C:\\secret.key",
    ],
)
async def test_a_key_that_is_not_ours_finds_nothing(tmp_path: Path, key: str) -> None:
    secret = tmp_path / "secret.key"
    secret.write_text("secret")
    store = FileBlobStore(tmp_path / "attachments")
    await store.put(io.BytesIO(b"photo"))
    with pytest.raises(BlobNotFoundError):
        await store.get_path(key)
    assert secret.exists()


@given(key=st.text())
def test_no_key_leads_out_of_the_folder(key: str) -> None:
    store = FileBlobStore(Path("/var/lib/attachments"))
    try:
        path = store._path(key)
    except BlobNotFoundError:
        return
    assert path.resolve().is_relative_to("/var/lib/attachments")
    assert path.resolve() == path
