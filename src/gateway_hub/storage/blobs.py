"""Attachment bytes in files: written, flushed, renamed and flushed again before anyone is told."""

import asyncio
import hashlib
import os
import secrets
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_CHUNK_BYTES = 256 * 1024
_UNFINISHED = ".new-"
_UNFINISHED_SECONDS = 3600
_SETTLED_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """What was written: *key* is ours, never a name from outside."""

    key: str
    size_bytes: int
    sha256: str


class BlobNotFoundError(Exception):
    """There are no bytes under that key."""


class FileBlobStore:
    """Blobs as files below one folder, each under ``<two characters>/<random key>``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, source: BinaryIO) -> StoredBlob:
        """Store all of *source* from its start; after the return it survives a power cut."""
        return await asyncio.to_thread(self._put, source)

    async def get_path(self, key: str) -> Path:
        """Return the file with the bytes of *key*. Raises BlobNotFoundError."""
        path = self._path(key)
        if not await asyncio.to_thread(path.is_file):
            raise BlobNotFoundError(key)
        return path

    async def delete(self, key: str) -> None:
        """Remove the bytes of *key*; harmless when they are gone."""
        await asyncio.to_thread(self._path(key).unlink, missing_ok=True)

    async def list_folders(self) -> list[str]:
        """Return the names of the folders that keys are spread over."""
        return await asyncio.to_thread(self._list_folders)

    async def list_settled(self, folder: str) -> list[str]:
        """Return the keys in *folder* that have been there for a day: whoever stored them has
        committed what names them, or never will."""
        return await asyncio.to_thread(self._list_settled, folder)

    async def make_folder(self) -> None:
        """Make the one folder, if it is not there."""
        await asyncio.to_thread(self._make_root)

    async def remove_unfinished(self) -> None:
        """Remove what a process that was killed left half written; old enough to be nobody's."""
        await asyncio.to_thread(self._remove_unfinished)

    async def check(self) -> None:
        """Raise OSError unless a file can be written and flushed here."""
        await asyncio.to_thread(self._check)

    def _put(self, source: BinaryIO) -> StoredBlob:
        key = secrets.token_hex(20)
        final = self._path(key)
        self._make_root()
        final.parent.mkdir(exist_ok=True, mode=0o700)
        descriptor, temporary = tempfile.mkstemp(prefix=_UNFINISHED, dir=final.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                size, digest = _copy(source, file)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).rename(final)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        # The subfolder may have been made by another put that has not flushed it yet.
        _flush_folder(final.parent)
        _flush_folder(self._folder)
        return StoredBlob(key, size, digest)

    def _remove_unfinished(self) -> None:
        oldest = time.time() - _UNFINISHED_SECONDS
        for path in self._folder.glob(f"*/{_UNFINISHED}*"):
            with suppress(FileNotFoundError):  # another process cleans up too
                if path.stat().st_mtime < oldest:
                    path.unlink()

    def _list_folders(self) -> list[str]:
        if not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.iterdir() if path.is_dir())

    def _list_settled(self, folder: str) -> list[str]:
        newest = time.time() - _SETTLED_SECONDS
        settled = []
        for path in (self._folder / folder).iterdir():
            with suppress(FileNotFoundError):  # removed meanwhile
                is_key = path.name.isalnum() and path.name.startswith(folder)
                if is_key and path.is_file() and path.stat().st_mtime < newest:
                    settled.append(path.name)
        return sorted(settled)

    def _make_root(self) -> None:
        if not self._folder.is_dir():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _flush_folder(self._folder.parent)

    def _check(self) -> None:
        self._make_root()
        with tempfile.TemporaryFile(dir=self._folder) as file:
            file.write(b"ok")
            file.flush()
            os.fsync(file.fileno())

    def _path(self, key: str) -> Path:
        if not key.isalnum() or not key.isascii():
            raise BlobNotFoundError(key)
        return self._folder / key[:2] / key


def _copy(source: BinaryIO, target: BinaryIO) -> tuple[int, str]:
    digest = hashlib.sha256()
    size = 0
    source.seek(0)
    while chunk := source.read(_CHUNK_BYTES):
        digest.update(chunk)
        target.write(chunk)
        size += len(chunk)
    return size, digest.hexdigest()


def _flush_folder(folder: Path) -> None:
    """Flush the folder entry itself: a renamed file is lost with it in a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
