"""Runs migrations on the connection the hub hands in, or on `-x url=…` from the command line."""

import asyncio

from alembic import context
from sqlalchemy import Connection

from gateway_hub.storage.engines import create_writer_engine, normalise_url
from gateway_hub.storage.tables import metadata


def run_on(connection: Connection) -> None:
    """Run the migrations, each in a transaction of its own."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def run_on_url(url: str) -> None:
    """Open *url* and run the migrations there."""
    engine = create_writer_engine(normalise_url(url))
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run_on)
    finally:
        await engine.dispose()


given = context.config.attributes.get("connection")
if given is not None:
    run_on(given)
else:
    arguments = context.get_x_argument(as_dictionary=True)
    asyncio.run(run_on_url(arguments.get("url", "sqlite+aiosqlite:///./data/gateway-hub.sqlite3")))
