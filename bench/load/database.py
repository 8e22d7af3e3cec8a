"""What PostgreSQL was asked meanwhile, as it counts itself."""

import asyncio

import psycopg

# A backend that has become idle reports what it did within a second.
REPORTED_AFTER_S = 2.0
COUNT = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"


async def transactions(url: str) -> int:
    """Transactions of a database since it was made; a query outside one counts as one."""
    await asyncio.sleep(REPORTED_AFTER_S)
    return await asyncio.to_thread(_count, url)


def _count(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(COUNT).fetchone()
    return int(row[0]) if row else 0
