"""Bundles as searchers send them: signed transactions, the rules of ``eth_sendBundle``, and the pool they wait in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError as EthValidationError
from hexbytes import HexBytes

from keeper.domain.errors import InputError
from keeper.domain.units import Address, Hash32

MAX_TRANSACTIONS = 100
MAX_BUNDLE_BYTES = 300_000
MAX_POOLED_BUNDLES = 10_000
TRANSACTION_GAS_CAP = 16_777_216
"""EIP-7825: no transaction may ask for more gas."""

_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})+")
_QUANTITY = re.compile(r"0x(?:0|[1-9a-fA-F][0-9a-fA-F]*)")
_BUNDLE_FIELDS = frozenset(
    {"version", "txs", "blockNumber", "minTimestamp", "maxTimestamp", "revertingTxHashes", "replacementUuid"}
)
_BLOB_TYPE = 3


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A decoded transaction together with the exact bytes that were signed.

    Attributes:
        max_fee, max_tip: wei per gas; a legacy transaction has its gas price in both.
        request: its fields as JSON-RPC wants them for a simulated call.
    """

    raw: bytes
    hash: Hash32
    sender: Address
    nonce: int
    to: Address | None
    gas: int
    max_fee: int
    max_tip: int
    request: dict[str, Any]

    def tip(self, base_fee: int) -> int:
        """What the fee recipient gets per gas at ``base_fee``, wei; negative when the fee cannot be paid."""
        return min(self.max_tip, self.max_fee - base_fee)

    @property
    def raw_hex(self) -> str:
        return "0x" + self.raw.hex()


def decode_transaction(value: object, field: str, chain_id: int) -> SignedTransaction:
    """Decode a signed transaction given as 0x-hex.

    `InputError` names ``field`` when it is no hex, no transaction, of another chain, badly signed or a blob carrier.
    """
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise InputError(field, value, "Give the signed transaction as 0x and an even number of hexadecimal digits.")
    raw = bytes.fromhex(value[2:])
    try:
        fields = _legacy_fields(raw) if raw[0] >= 0xC0 else dict(TypedTransaction.from_bytes(HexBytes(raw)).as_dict())
        sender = Address(to_checksum_address(Account.recover_transaction(raw)))
    except (ValueError, TypeError, KeyError, EthValidationError, rlp.exceptions.RLPException) as error:
        raise InputError(field, value[:66], f"Give a signed Ethereum transaction ({type(error).__name__}).") from error
    if fields["type"] == _BLOB_TYPE:
        raise InputError(field, value[:66], "Send blob transactions to a public node; this relay takes none.")
    if fields["chainId"] not in (None, chain_id):
        raise InputError(field, fields["chainId"], f"Sign for chain {chain_id}.")
    max_fee: int = fields["maxFeePerGas"] if "maxFeePerGas" in fields else fields["gasPrice"]
    max_tip: int = fields["maxPriorityFeePerGas"] if "maxFeePerGas" in fields else fields["gasPrice"]
    if max_tip > max_fee:
        raise InputError(field, max_tip, "Set maxPriorityFeePerGas to at most maxFeePerGas.")
    to = bytes(fields["to"])
    return SignedTransaction(
        raw=raw,
        hash=Hash32("0x" + keccak(raw).hex()),
        sender=sender,
        nonce=fields["nonce"],
        to=Address(to_checksum_address(to)) if to else None,
        gas=fields["gas"],
        max_fee=max_fee,
        max_tip=max_tip,
        request=_request(fields, sender),
    )


def _legacy_fields(raw: bytes) -> dict[str, Any]:
    """EIP-155: the chain id is in v; before that (27, 28) there is none."""
    nonce, gas_price, gas, to, value, data, v, _, _ = rlp.decode(raw)
    number = int.from_bytes(v, "big")
    return {
        "type": 0,
        "chainId": (number - 35) // 2 if number >= 35 else None,
        "nonce": int.from_bytes(nonce, "big"),
        "gasPrice": int.from_bytes(gas_price, "big"),
        "gas": int.from_bytes(gas, "big"),
        "to": to,
        "value": int.from_bytes(value, "big"),
        "data": data,
    }


def _request(fields: dict[str, Any], sender: Address) -> dict[str, Any]:
    request: dict[str, Any] = {
        "from": sender,
        "nonce": hex(fields["nonce"]),
        "gas": hex(fields["gas"]),
        "value": hex(fields["value"]),
        "input": "0x" + bytes(fields["data"]).hex(),
        "type": hex(fields["type"]),
    }
    if to := bytes(fields["to"]):
        request["to"] = "0x" + to.hex()
    for name in ("gasPrice", "maxFeePerGas", "maxPriorityFeePerGas"):
        if name in fields:
            request[name] = hex(fields[name])
    if fields.get("accessList"):
        request["accessList"] = [
            {"address": _hex(entry["address"]), "storageKeys": [f"0x{key:064x}" for key in entry["storageKeys"]]}
            for entry in fields["accessList"]
        ]
    if fields.get("authorizationList"):
        request["authorizationList"] = [
            {name: _hex(part) if name == "address" else hex(part) for name, part in entry.items()}
            for entry in fields["authorizationList"]
        ]
    return request


def _hex(value: bytes | str) -> str:
    return value if isinstance(value, str) else "0x" + bytes(value).hex()


@dataclass(frozen=True, slots=True)
class Bundle:
    """Transactions that land together, in this order, at the top of one block, or not at all.

    Attributes:
        signer: who signed the request; owner of ``replacement_uuid``.
        min_timestamp, max_timestamp: bounds on the block's time, inclusive; seconds since the epoch.
        reverting: hashes of the transactions that may revert without spoiling the bundle.
    """

    transactions: tuple[SignedTransaction, ...]
    block_number: int
    signer: Address
    min_timestamp: int = 0
    max_timestamp: int | None = None
    reverting: frozenset[Hash32] = frozenset()
    replacement_uuid: str | None = None

    @property
    def hash(self) -> Hash32:
        return bundle_hash(self.transactions)


@dataclass(frozen=True, slots=True)
class Cancellation:
    """An ``eth_sendBundle`` without transactions, or an ``eth_cancelBundle``."""

    replacement_uuid: str
    signer: Address


def bundle_hash(transactions: Iterable[SignedTransaction]) -> Hash32:
    """keccak of the concatenated transaction hashes."""
    return Hash32("0x" + keccak(b"".join(bytes.fromhex(tx.hash[2:]) for tx in transactions)).hex())


def parse_bundle(params: object, signer: Address, chain_id: int) -> Bundle | Cancellation:
    """The first parameter of ``eth_sendBundle``, version 1; `InputError` names the field that does not fit."""
    fields = as_object(params)
    for name in fields:
        if name not in _BUNDLE_FIELDS:
            raise InputError(name, fields[name], "Leave it out: this relay takes the fields of version v1 only.")
    if fields.get("version", "v1") != "v1":
        raise InputError("version", fields["version"], "Use v1.")
    uuid = _optional_uuid(fields)
    if uuid is not None and fields.get("txs") == []:
        return Cancellation(uuid, signer)
    maximum = fields.get("maxTimestamp")
    return Bundle(
        transactions=parse_transactions(fields, chain_id),
        block_number=parse_quantity(fields, "blockNumber"),
        signer=signer,
        min_timestamp=_timestamp(fields, "minTimestamp") or 0,
        max_timestamp=_timestamp(fields, "maxTimestamp") if maximum not in (None, 0) else None,
        reverting=_hashes(fields, "revertingTxHashes"),
        replacement_uuid=uuid,
    )


def parse_cancellation(params: object, signer: Address) -> Cancellation:
    """The first parameter of ``eth_cancelBundle``."""
    fields = as_object(params)
    uuid = _optional_uuid(fields)
    if uuid is None:
        raise InputError("replacementUuid", None, "Give the replacementUuid that the bundle was sent with.")
    return Cancellation(uuid, signer)


def parse_transactions(fields: dict[str, Any], chain_id: int) -> tuple[SignedTransaction, ...]:
    """The field ``txs`` within the relay's limits."""
    txs = fields.get("txs")
    if not isinstance(txs, list) or not txs:
        raise InputError("txs", txs, "Give a list of at least one signed transaction.")
    if len(txs) > MAX_TRANSACTIONS:
        raise InputError("txs", f"{len(txs)} transactions", f"Give at most {MAX_TRANSACTIONS}.")
    size = sum(len(tx) // 2 - 1 for tx in txs if isinstance(tx, str))
    if size > MAX_BUNDLE_BYTES:
        raise InputError("txs", f"{size} bytes", f"Give at most {MAX_BUNDLE_BYTES} bytes of transactions.")
    return tuple(decode_transaction(tx, f"txs[{index}]", chain_id) for index, tx in enumerate(txs))


def as_object(params: object) -> dict[str, Any]:
    """JSON-RPC ``params`` that must be a list of exactly one object."""
    if not isinstance(params, list) or len(params) != 1 or not isinstance(params[0], dict):
        raise InputError("params", params, "Give a list of exactly one object.")
    return params[0]


def parse_quantity(fields: dict[str, Any], name: str) -> int:
    """A hexadecimal number such as ``0x16e3601``."""
    value = fields.get(name)
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise InputError(name, value, "Give a hexadecimal number with 0x and without leading zeros.")
    return int(value, 16)


def _timestamp(fields: dict[str, Any], name: str) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InputError(name, value, "Give a whole number of seconds since the epoch.")
    return value


def _hashes(fields: dict[str, Any], name: str) -> frozenset[Hash32]:
    values = fields.get(name)
    if values is None:
        return frozenset()
    if not isinstance(values, list):
        raise InputError(name, values, "Give a list of transaction hashes.")
    for value in values:
        if not isinstance(value, str) or not re.fullmatch(r"0x[0-9a-fA-F]{64}", value):
            raise InputError(name, value, "Give hashes of 0x and 64 hexadecimal digits.")
    return frozenset(Hash32(value.lower()) for value in values)


def _optional_uuid(fields: dict[str, Any]) -> str | None:
    value = fields.get("replacementUuid")
    if value is not None and (not isinstance(value, str) or not 0 < len(value) <= 64):
        raise InputError("replacementUuid", value, "Give a UUID of at most 64 characters, or leave it out.")
    return value


class BundlePool:
    """The bundles that wait for their block. A replacement uuid holds one bundle for each signer."""

    def __init__(self) -> None:
        self._bundles: dict[tuple[object, ...], Bundle] = {}
        self.received = 0
        self.replaced = 0

    def add(self, bundle: Bundle) -> Hash32:
        """Take in ``bundle``, in place of an earlier one with the same (uuid, signer) or the same content."""
        if len(self._bundles) >= MAX_POOLED_BUNDLES:
            raise InputError("blockNumber", bundle.block_number, "The bundle pool is full; send for the next block.")
        key = _key(bundle)
        self.replaced += key in self._bundles
        self._bundles[key] = bundle
        self.received += 1
        return bundle.hash

    def cancel(self, cancellation: Cancellation) -> Bundle | None:
        """Remove and return the bundle of this (uuid, signer), if there is one."""
        return self._bundles.pop(("uuid", cancellation.replacement_uuid, cancellation.signer), None)

    def take(self, block_number: int) -> tuple[Sequence[Bundle], Sequence[Bundle]]:
        """Remove and return the bundles for ``block_number``, and those for earlier blocks, which have expired."""
        due = [bundle for bundle in self._bundles.values() if bundle.block_number == block_number]
        expired = [bundle for bundle in self._bundles.values() if bundle.block_number < block_number]
        self._bundles = {key: item for key, item in self._bundles.items() if item.block_number > block_number}
        return due, expired

    def __len__(self) -> int:
        return len(self._bundles)


def _key(bundle: Bundle) -> tuple[object, ...]:
    if bundle.replacement_uuid is not None:
        return "uuid", bundle.replacement_uuid, bundle.signer
    return "hash", bundle.hash, bundle.block_number, bundle.min_timestamp, bundle.max_timestamp, bundle.reverting
