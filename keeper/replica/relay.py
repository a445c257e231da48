"""The local relay: bundles over JSON-RPC with ``X-Flashbots-Signature``, in the dialect of the public ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_keys.exceptions import BadSignature
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keeper.domain.errors import InputError
from keeper.domain.units import Address
from keeper.replica.block_builder import BlockBuilder, BundleFate, BundleOutcome
from keeper.replica.bundle_simulation import BundleRejected, BundleSimulation, SimulatedTransaction, simulate_bundle
from keeper.replica.bundles import (
    MAX_BUNDLE_BYTES,
    BundlePool,
    Cancellation,
    SignedTransaction,
    as_object,
    bundle_hash,
    parse_bundle,
    parse_cancellation,
    parse_quantity,
    parse_transactions,
)
from keeper.replica.http_server import LoopbackServer

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, REFUSED = -32700, -32600, -32601, -32602, -32000
MAX_BODY_BYTES = 4 * MAX_BUNDLE_BYTES
_SECP256K1_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_CALL_FIELDS = frozenset({"txs", "blockNumber", "stateBlockNumber", "timestamp"})


class SignatureError(ValueError):
    """The request is not signed by the address it claims."""


def verify_signature(header: str | None, body: bytes) -> Address:
    """The signer of ``body``, from a header ``address:signature``.

    The signature is a personal_sign of the 0x-prefixed hex string of keccak(body), 65 bytes with v of 0, 1, 27 or 28
    and s in the lower half. Raises `SignatureError`.
    """
    if not header:
        raise SignatureError("no signature provided")
    claimed, separator, signature_hex = header.partition(":")
    if not separator:
        raise SignatureError("invalid signature provided: missing separator")
    try:
        if not signature_hex.startswith("0x"):
            raise ValueError("hex string without 0x prefix")
        signature = bytes.fromhex(signature_hex[2:])
        if len(signature) != 65:
            raise ValueError("wrong length")
        if signature[64] not in (0, 1, 27, 28):
            raise ValueError("invalid recovery id")
        if int.from_bytes(signature[32:64], "big") > _SECP256K1_HALF_ORDER:
            raise ValueError("s is in the upper half")
        message = encode_defunct(text="0x" + keccak(body).hex())
        signer = Account.recover_message(message, signature=signature)
    except (ValueError, BadSignature, ValidationError) as error:
        raise SignatureError(f"invalid signature provided: {error}") from error
    if signer.lower() != claimed.lower():
        raise SignatureError("invalid signature provided: signing address mismatch")
    return Address(to_checksum_address(signer))


class Relay:
    """Takes requests for a builder's bundle pool.

    Args:
        submit_private: takes a transaction of ``eth_sendPrivateTransaction`` and the last block it may land in.
    """

    def __init__(
        self,
        builder: BlockBuilder,
        pool: BundlePool,
        *,
        chain_id: int,
        submit_private: Callable[[SignedTransaction, int | None], None],
        port: int = 0,
    ) -> None:
        self._builder = builder
        self._pool = pool
        self._chain_id = chain_id
        self._submit_private = submit_private
        self._server = LoopbackServer(
            "local relay", Starlette(routes=[Route("/", self._serve, methods=["POST"])]), port
        )
        self._methods: dict[str, Callable[[Any, Address], Awaitable[Any]]] = {
            "eth_sendBundle": self._send_bundle,
            "eth_callBundle": self._call_bundle,
            "eth_cancelBundle": self._cancel_bundle,
            "eth_sendPrivateTransaction": self._send_private_transaction,
        }

    @property
    def url(self) -> str:
        return self._server.url

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    async def _serve(self, request: Request) -> Response:
        body = await request.body()
        if len(body) > MAX_BODY_BYTES:
            return _error(None, INVALID_REQUEST, f"request body is too big, max size: {MAX_BODY_BYTES}", 413)
        try:
            signer = verify_signature(request.headers.get("X-Flashbots-Signature"), body)
        except SignatureError as error:
            return _error(None, INVALID_REQUEST, str(error), 403)
        try:
            call = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            return _error(None, PARSE_ERROR, str(error), 400)
        if not isinstance(call, dict) or call.get("jsonrpc") != "2.0":
            return _error(None, INVALID_REQUEST, "expected one JSON-RPC 2.0 object", 400)
        call_id = call.get("id")
        method = self._methods.get(str(call.get("method")))
        if method is None:
            return _error(call_id, METHOD_NOT_FOUND, f"method not found: {str(call.get('method'))[:100]}", 200)
        try:
            return _answer({"jsonrpc": "2.0", "id": call_id, "result": await method(call.get("params"), signer)}, 200)
        except InputError as error:
            return _error(call_id, INVALID_PARAMS, str(error), 200)
        except BundleRejected as error:
            return _error(call_id, REFUSED, str(error), 200)

    async def _send_bundle(self, params: object, signer: Address) -> dict[str, Any]:
        bundle = parse_bundle(params, signer, self._chain_id)
        if isinstance(bundle, Cancellation):
            self._cancel(bundle)
            return {"bundleHash": None}
        head = int(await self._builder.rpc("eth_blockNumber"), 16)
        if bundle.block_number <= head:
            raise BundleRejected(f"blockNumber {bundle.block_number} is past, the next block is {head + 1}")
        return {"bundleHash": self._pool.add(bundle)}

    async def _cancel_bundle(self, params: object, signer: Address) -> list[Any]:
        self._cancel(parse_cancellation(params, signer))
        return []

    def _cancel(self, cancellation: Cancellation) -> None:
        bundle = self._pool.cancel(cancellation)
        if bundle is not None:
            self._builder.note(
                BundleOutcome(
                    bundle.hash, bundle.block_number, bundle.signer, BundleFate.CANCELLED, "cancelled by its sender"
                )
            )

    async def _send_private_transaction(self, params: object, _: Address) -> str:
        fields = as_object(params)
        tx = parse_transactions({"txs": [fields.get("tx")]}, self._chain_id)[0]
        maximum = parse_quantity(fields, "maxBlockNumber") if "maxBlockNumber" in fields else None
        self._submit_private(tx, maximum)
        return tx.hash

    async def _call_bundle(self, params: object, _: Address) -> dict[str, Any]:
        fields = as_object(params)
        for name in fields:
            if name not in _CALL_FIELDS:
                raise InputError(name, fields[name], f"Leave it out; known are {', '.join(sorted(_CALL_FIELDS))}.")
        transactions = parse_transactions(fields, self._chain_id)
        number = parse_quantity(fields, "blockNumber")
        state = fields.get("stateBlockNumber")
        if state != "latest":
            state = hex(parse_quantity(fields, "stateBlockNumber"))
        timestamp = fields.get("timestamp")
        if timestamp is not None and (not isinstance(timestamp, int) or isinstance(timestamp, bool) or timestamp <= 0):
            raise InputError("timestamp", timestamp, "Give a whole number of seconds since the epoch.")
        context = await self._builder.block_after(state, number, timestamp)
        simulation = await simulate_bundle(self._builder.rpc, context, transactions)
        return {
            **_payment(simulation.coinbase_diff, simulation.gas_fees),
            "bundleGasPrice": str(simulation.coinbase_diff // simulation.gas_used),
            "bundleHash": bundle_hash(transactions),
            "results": _results(transactions, simulation),
            "stateBlockNumber": int(context.state_block, 16),
            "totalGasUsed": simulation.gas_used,
        }


def _results(transactions: tuple[SignedTransaction, ...], simulation: BundleSimulation) -> list[dict[str, Any]]:
    return [_result(tx, result) for tx, result in zip(transactions, simulation.transactions, strict=True)]


def _result(tx: SignedTransaction, result: SimulatedTransaction) -> dict[str, Any]:
    outcome = (
        {"error": result.error, "revert": result.revert_reason}
        if result.error
        else {"value": "0x" + result.return_data.hex()}
    )
    return {
        **_payment(result.coinbase_diff, result.gas_fees),
        "fromAddress": tx.sender,
        "gasPrice": str(result.coinbase_diff // result.gas_used),
        "gasUsed": result.gas_used,
        "toAddress": tx.to,
        "txHash": tx.hash,
        **outcome,
    }


def _payment(coinbase_diff: int, gas_fees: int) -> dict[str, str]:
    return {
        "coinbaseDiff": str(coinbase_diff),
        "ethSentToCoinbase": str(coinbase_diff - gas_fees),
        "gasFees": str(gas_fees),
    }


def _error(call_id: object, code: int, message: str, status: int) -> Response:
    return _answer({"jsonrpc": "2.0", "id": call_id, "error": {"code": code, "message": message}}, status)


def _answer(payload: dict[str, Any], status: int) -> Response:
    return Response(orjson.dumps(payload), status_code=status, media_type="application/json")
