"""Recorded mainnet blocks: their state before, and the state after replaying their first transactions.

The folder of recorded blocks holds, for each block, every account and storage slot that the block touches. The
transactions before the one of interest are replayed in py-evm at the rules of their time; what results can be put
under a node with today's rules, because the meaning of state does not change with a fork.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth.db.atomic import AtomicDB
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.berlin import BerlinVM
from eth.vm.forks.london import LondonVM
from eth.vm.forks.muir_glacier import MuirGlacierVM
from eth.vm.forks.paris import ParisVM
from eth.vm.state import BaseState
from eth_utils import to_canonical_address
from trie.constants import BLANK_NODE_HASH

RULES = ((9_200_000, MuirGlacierVM), (12_244_000, BerlinVM), (12_965_000, LondonVM), (15_537_394, ParisVM))
"""The first block of each fork. Those between London and Paris changed nothing but the difficulty bomb."""
SHANGHAI = 17_034_870


def _bytes(value: str) -> bytes:
    return bytes.fromhex(value.removeprefix("0x"))


def _int(value: str | int) -> int:
    return value if isinstance(value, int) else int(value, 16)


@dataclass(frozen=True, slots=True)
class Account:
    balance: int
    nonce: int
    code: bytes
    storage: dict[int, int]


Alloc = dict[str, Account]
"""Accounts by lower-case address."""


@dataclass(frozen=True, slots=True)
class RecordedBlock:
    number: int
    block: dict[str, Any]
    before: Alloc
    hashes: dict[int, bytes]

    @classmethod
    def load(cls, folder: Path, number: int) -> RecordedBlock:
        """Read block ``number`` from a ``mainnet-blocks`` folder."""
        codes = json.loads(gzip.decompress((folder / "codes.json.gz").read_bytes()))
        where = folder / "blocks" / str(number)
        state = json.loads(gzip.decompress((where / "pre_state.json.gz").read_bytes()))
        before = {
            address.lower(): Account(
                balance=_int(account["balance"]),
                nonce=_int(account["nonce"]),
                code=_bytes(codes[account["code_hash"]]) if account.get("code_hash") in codes else b"",
                storage={_int(slot): _int(value) for slot, value in account["storage"].items()},
            )
            for address, account in state.items()
        }
        hashes = json.loads((folder / "block_hashes.json").read_text())
        return cls(
            number=number,
            block=json.loads(gzip.decompress((where / "block.json.gz").read_bytes())),
            before=before,
            hashes={int(n): _bytes(block_hash) for n, block_hash in hashes.items()},
        )

    def after(self, transactions: int) -> Alloc:
        """The state after the first ``transactions`` transactions, replayed at the rules of the block's time."""
        if not RULES[0][0] <= self.number < SHANGHAI:
            raise ValueError(f"block {self.number} is of a fork whose rules are not known here")
        rules = [vm for first, vm in RULES if first <= self.number][-1]
        base_fee = self.block.get("baseFeePerGas")
        context = ExecutionContext(
            coinbase=to_canonical_address(self.block["miner"]),
            timestamp=_int(self.block["timestamp"]),
            block_number=self.number,
            difficulty=_int(self.block["difficulty"]),
            mix_hash=_bytes(self.block["mixHash"]),
            gas_limit=_int(self.block["gasLimit"]),
            prev_hashes=[self.hashes.get(n, bytes(32)) for n in range(self.number - 1, self.number - 257, -1)],
            chain_id=1,
            base_fee_per_gas=None if base_fee is None else _int(base_fee),
        )
        state = rules.get_state_class()(AtomicDB(), context, BLANK_NODE_HASH)
        for address, account in self.before.items():
            where = to_canonical_address(address)
            state.set_balance(where, account.balance)
            state.set_nonce(where, account.nonce)
            if account.code:
                state.set_code(where, account.code)
            for slot, value in account.storage.items():
                state.set_storage(where, slot, value)
        state.persist()
        for raw in self.block["transactions"][:transactions]:
            state.apply_transaction(_transaction(rules.get_transaction_builder(), raw))
        return {address: _account(state, address, account.storage) for address, account in self.before.items()}


def _account(state: BaseState, address: str, slots: Iterable[int]) -> Account:
    where = to_canonical_address(address)
    return Account(
        balance=state.get_balance(where),
        nonce=state.get_nonce(where),
        code=state.get_code(where),
        storage={slot: state.get_storage(where, slot) for slot in slots},
    )


def _transaction(builder: Any, raw: dict[str, Any]) -> Any:
    """A transaction of the JSON of a node; ``builder`` is that of the fork."""
    common = {
        "nonce": _int(raw["nonce"]),
        "gas": _int(raw["gas"]),
        "to": to_canonical_address(raw["to"]) if raw["to"] else b"",
        "value": _int(raw["value"]),
        "data": _bytes(raw["input"]),
        "r": _int(raw["r"]),
        "s": _int(raw["s"]),
    }
    kind = _int(raw.get("type") or "0x0")
    if kind == 0:
        return builder.new_transaction(**common, gas_price=_int(raw["gasPrice"]), v=_int(raw["v"]))
    common["access_list"] = [
        (to_canonical_address(entry["address"]), [_int(key) for key in entry["storageKeys"]])
        for entry in raw["accessList"]
    ]
    common |= {"chain_id": 1, "y_parity": _int(raw["v"])}
    if kind == 1:
        return builder.new_access_list_transaction(**common, gas_price=_int(raw["gasPrice"]))
    return builder.new_dynamic_fee_transaction(
        **common,
        max_priority_fee_per_gas=_int(raw["maxPriorityFeePerGas"]),
        max_fee_per_gas=_int(raw["maxFeePerGas"]),
    )
