"""The journal is written once, balances whatever is tried, and cannot be changed afterwards."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from keeper.domain.booking import Account, Entry, EntryKind, Leg
from keeper.domain.errors import InputError
from keeper.store.database import sync_engine
from keeper.store.journal import Journal, book_of
from keeper.store.recorder import PostgresRecorder
from keeper.treasury.ledger import outcome_entries, reversal, sums
from tests.store.samples import replica_run
from tests.store.servers import cutting_proxy
from tests.treasury.samples import BOOK, WETH, settled_of, trade_of


@pytest.fixture
async def journal(database_url: str) -> AsyncIterator[Journal]:
    journal = Journal(database_url)
    yield journal
    await journal.close()


def booked(seed: int = 1, gross: int = 10**16, attempt: int = 0, book: str = BOOK) -> tuple[Entry, ...]:
    return outcome_entries(
        settled_of(trade_of(gross, seed=seed)), book=book, token=WETH, reinvestment_bps=5_000, attempt=attempt
    )


async def totals(journal: Journal, book: str = BOOK) -> Counter[tuple[Account, str]]:
    return Counter({(one.account, one.token): one.amount for one in await journal.balances(book) if one.amount})


def nonzero(entries: list[Entry]) -> Counter[tuple[Account, str]]:
    return Counter({key: amount for key, amount in sums(entries).items() if amount})


async def test_sums_of_the_database_are_those_of_the_entries(journal: Journal) -> None:
    entries = [entry for seed in range(5) for entry in booked(seed, gross=2**200 + seed)]
    assert await journal.post(entries) == len(entries)
    assert await totals(journal) == nonzero(entries)
    other = list(booked(9, book="polygon:mainnet"))
    await journal.post(other)
    assert await totals(journal) == nonzero(entries), "each book has sums of its own"
    assert await journal.balances(BOOK, up_to_block=100) == []


async def test_the_same_entry_is_booked_once(journal: Journal) -> None:
    entries = list(booked())
    await journal.post(entries)
    assert await journal.post(entries) == 0
    assert await journal.post([*entries, *booked(2)]) == 2
    assert await totals(journal) == nonzero([*entries, *booked(2)])


async def test_another_amount_under_the_same_key_is_refused(journal: Journal) -> None:
    await journal.post(booked())
    with pytest.raises(InputError, match="booked with other lines"):
        await journal.post([*booked(2), *booked(gross=10**16 + 1)])
    assert await totals(journal) == nonzero(list(booked())), "nothing of the refused call is written"


async def test_a_reversal_takes_back_once_and_the_next_attempt_books_again(journal: Journal) -> None:
    first = list(booked())
    back = [reversal(entry, reason="reorg") for entry in first]
    again = list(booked(attempt=1))
    await journal.post([*first, *back, *again])
    assert await totals(journal) == nonzero(again)
    twice = replace(back[0], subject="once more")
    with pytest.raises(InputError):
        await journal.post([twice])
    assert await journal.post(back) == 0
    assert await totals(journal) == nonzero(again)


async def test_a_reversal_of_other_amounts_is_refused_by_the_database(journal: Journal) -> None:
    first = list(booked())
    await journal.post(first)
    halved = replace(
        reversal(first[0], reason="reorg"),
        legs=(Leg(Account.EXECUTOR_BALANCE, WETH, -1), Leg(Account.TRADING_INCOME, WETH, 1)),
    )
    with pytest.raises(InputError, match=r"does not take .* back"):
        await journal.post([halved])
    assert await totals(journal) == nonzero(first)


INSERT_ENTRY = text(
    "INSERT INTO journal_entries (id, book, chain_id, subject, kind, attempt, booked_at, details)"
    " VALUES (:id, 'b', 1, :id, 'outcome', 0, now(), '{}')"
)
INSERT_LEG = text(
    "INSERT INTO journal_legs (entry_id, position, account, token, amount)"
    " VALUES (:id, :position, 'treasury', :token, :amount)"
)


@pytest.mark.parametrize(
    ("legs", "complaint"),
    [
        ([], "fewer than two lines"),
        ([("a", 5)], "fewer than two lines"),
        ([("a", 5), ("a", -4)], "does not balance"),
        ([("a", 5), ("b", -5)], "does not balance"),
        ([("a", 0), ("a", 0)], "ck_journal_legs_amount"),
    ],
)
def test_the_database_itself_refuses_what_does_not_balance(
    database_url: str, legs: list[tuple[str, int]], complaint: str
) -> None:
    """Straight to the tables, as a bug elsewhere might."""
    key = uuid.uuid4()

    def write() -> None:
        with sync_engine(database_url).begin() as connection:
            connection.execute(INSERT_ENTRY, {"id": key})
            for position, (token, amount) in enumerate(legs):
                connection.execute(INSERT_LEG, {"id": key, "position": position, "token": token, "amount": amount})

    with pytest.raises(IntegrityError, match=complaint):
        write()
    with sync_engine(database_url).connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM journal_entries")).scalar() == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal_legs SET amount = amount + 1",
        "UPDATE journal_entries SET book = 'mine'",
        "DELETE FROM journal_legs",
        "DELETE FROM journal_entries",
        "TRUNCATE journal_legs, journal_entries",
    ],
)
async def test_nothing_can_be_changed_or_removed(database_url: str, journal: Journal, statement: str) -> None:
    await journal.post(booked())

    def change() -> None:
        with sync_engine(database_url).begin() as connection:
            connection.execute(text(statement))

    with pytest.raises(DBAPIError, match="append-only"):
        change()
    assert await totals(journal) == nonzero(list(booked()))


async def test_a_committed_entry_takes_no_further_lines(database_url: str, journal: Journal) -> None:
    (entry, _) = booked()
    await journal.post([entry])

    def add() -> None:
        with sync_engine(database_url).begin() as connection:
            for position, amount in ((90, 7), (91, -7)):
                connection.execute(INSERT_LEG, {"id": entry.id, "position": position, "token": WETH, "amount": amount})

    with pytest.raises(IntegrityError, match="is closed"):
        add()
    assert await totals(journal) == nonzero([entry])


@pytest.mark.parametrize("deliver", [True, False], ids=["answer lost", "request lost"])
async def test_a_connection_cut_at_commit_neither_loses_nor_doubles(
    database_url: str, journal: Journal, deliver: bool
) -> None:
    async with cutting_proxy(database_url, marker=b"COMMIT", deliver=deliver, times=0) as (url, cuts):
        async with PostgresRecorder(url, replica_run(), patience=15) as recorder:
            cuts.left = 1
            await recorder.entries(booked())
        assert cuts.done == 1
    assert await totals(journal) == nonzero(list(booked()))
    (found, _) = await journal.entries(BOOK)
    assert found["run_id"] == recorder.run.id


async def test_the_latest_book_of_a_network_is_found(journal: Journal) -> None:
    assert await journal.latest_book("replica") is None
    first, second = (book_of("replica", uuid.UUID(int=number)) for number in (1, 2))
    assert first != second
    await journal.post(booked(1, book=first))
    await journal.post(booked(2, book=second))
    assert await journal.latest_book("replica") == second
    assert book_of(BOOK, uuid.UUID(int=1)) == BOOK
    await journal.post(booked(3))
    assert await journal.latest_book(BOOK) == BOOK
    assert [row["kind"] for row in await journal.entries(BOOK, (EntryKind.ALLOCATION,))] == ["allocation"]
