"""Every known address and hash is on the built chain, and one that is not would be noticed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.replica import addresses
from keeper.replica.deploy import create_address
from keeper.replica.markets import load_markets
from keeper.replica.status import Row as StatusRow
from keeper.replica.status import to_json
from keeper.replica.table import (
    Answer,
    CodeAt,
    CodeHash,
    CreatedBy,
    Measured,
    Origin,
    Row,
    TableMismatch,
    check_row,
    require,
    rows,
)
from tests.conftest import RunningReplica

ROWS = rows(load_markets())


def find(replica: RunningReplica, row: Row):
    return replica.background.run(check_row(row, replica.client, replica.state.measured))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row_holds(row: Row, replica: RunningReplica) -> None:
    finding = find(replica, row)
    assert finding.found.lower() == row.expected.lower()


def test_names_are_unique() -> None:
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("kind", [CodeAt, CreatedBy, CodeHash, Answer, Measured])
def test_a_wrong_expectation_is_found(kind: type, replica: RunningReplica) -> None:
    row = next(row for row in ROWS if isinstance(row.proof, kind))
    last = "0" if row.expected[-1] != "0" else "1"
    wrong = replace(row, expected=row.expected[:-1] + last)
    finding = find(replica, wrong)
    assert not finding.holds
    with pytest.raises(TableMismatch, match=row.name.replace("(", r"\(")):
        require([finding])


def test_a_silent_contract_is_a_finding_and_not_a_crash(replica: RunningReplica) -> None:
    nobody = Row("nobody", "0x01", Origin.EXACT, "", Answer("0x" + "77" * 20, "owner()", "address"))
    refuses = Row("refuses", "0x01", Origin.EXACT, "", Answer(addresses.UNISWAP_V2_FACTORY.address, "no()", "address"))
    assert find(replica, nobody).found == ""
    assert find(replica, refuses).found == ""


def test_status_rows_keep_what_the_table_says(replica: RunningReplica) -> None:
    row = next(row for row in ROWS if row.name == "USDT")
    [shown] = to_json([StatusRow.of(find(replica, row))])
    assert shown == {
        "name": "USDT",
        "expected": "0xdAC17F958D2ee523a2206206994597C13D831ec7",
        "origin": "stand-in",
        "source": "keeper/replica/solidity",
        "present": True,
    }


def test_create_address_after_the_yellow_paper() -> None:
    # the first two contracts of a well-known deployer: Uniswap's V2 factory and migrator
    assert create_address(addresses.UNISWAP_V2_FACTORY.deployer, 0) == addresses.UNISWAP_V2_FACTORY.address
    assert create_address("0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0", 0) == (
        "0xcd234A471b72ba2F1Ccf0A70FCABA648a5eeCD8d"
    )
    assert create_address("0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0", 1) == (
        "0x343c43A37D37dfF08AE8C4A11544c718AbB4fCF8"
    )
