"""Attachments: the bytes of MMS parts, stored before the message that names them."""

from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from gateway_hub.domain.errors import NotFoundError, UnavailableError
from gateway_hub.domain.messages import Attachment
from gateway_hub.domain.phone_posts import StoredPart
from gateway_hub.storage.blobs import BlobNotFoundError, FileBlobStore, StoredBlob


class Attachments:
    """Puts bytes into the store and finds them again."""

    def __init__(self, store: FileBlobStore) -> None:
        self._store = store

    async def store(self, source: BinaryIO) -> StoredBlob:
        """Store all of *source*; on return its bytes are on disk. Raises UnavailableError."""
        try:
            return await self._store.put(source)
        except OSError as error:
            raise UnavailableError("The attachment store cannot be written now.") from error

    async def discard(self, parts: tuple[StoredPart, ...]) -> None:
        """Remove parts that no stored message names."""
        await self.remove([part.storage_key for part in parts])

    async def remove(self, storage_keys: Iterable[str]) -> None:
        """Remove bytes that no stored message names any more."""
        for key in storage_keys:
            await self._store.delete(key)

    async def list_settled(self) -> AsyncIterator[list[str]]:
        """Yield the keys of all bytes that have been there for a day, some at a time."""
        for folder in await self._store.list_folders():
            yield await self._store.list_settled(folder)

    async def get_path(self, attachment: Attachment) -> Path:
        """Return the file with the bytes. Raises NotFoundError when they were removed."""
        try:
            return await self._store.get_path(attachment.storage_key)
        except BlobNotFoundError as error:
            raise NotFoundError("The bytes of this attachment are gone.") from error

    async def prepare(self) -> None:
        """Make the folder, so that a backup finds one, and remove what was left half written.

        A folder that cannot be made keeps no hub from starting: `check` tells of it.
        """
        with suppress(OSError):
            await self._store.make_folder()
        await self._store.remove_unfinished()

    async def check(self) -> None:
        """Raise UnavailableError unless the store can be written."""
        try:
            await self._store.check()
        except OSError as error:
            raise UnavailableError("The attachment store cannot be written now.") from error
