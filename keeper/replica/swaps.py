"""Swaps as wallets make them: which router takes a pool, its calldata, and the signed transaction."""

from __future__ import annotations

from typing import Any

from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from keeper.domain.token import VenueKind
from keeper.domain.units import Address
from keeper.replica import addresses
from keeper.replica.abi import call_data
from keeper.replica.bundles import SignedTransaction, decode_transaction
from keeper.replica.pool_state import TradedPool

GWEI = 10**9
QUOTER_V2, SWAP_ROUTER_02 = addresses.QUOTER_V2.address, addresses.SWAP_ROUTER_02.address
V2_ROUTERS: dict[str, Address] = {
    "uniswap_v2": addresses.UNISWAP_V2_ROUTER.address,
    "sushiswap": addresses.SUSHI_ROUTER.address,
}
_V2_SWAP_GAS, _V3_SWAP_GAS = 450_000, 600_000  # some tokens keep snapshots of balances, which costs much


def is_v3(pool: TradedPool) -> bool:
    """Whether SwapRouter02 trades it."""
    return pool.venue is VenueKind.UNISWAP_V3 and pool.dex == "uniswap_v3"


def swap_call(
    pool: TradedPool,
    token_in: Address,
    token_out: Address,
    amount_in: int,
    minimum_out: int,
    recipient: Address,
    deadline: int,
) -> tuple[Address, bytes, int]:
    """Router, calldata and gas limit of an exact-input swap through ``pool``."""
    if is_v3(pool):
        parameters = (token_in, token_out, pool.fee_pips, recipient, amount_in, minimum_out, 0)
        signature = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint160))"
        return SWAP_ROUTER_02, call_data(signature, parameters), _V3_SWAP_GAS
    data = call_data(
        "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)",
        *(amount_in, minimum_out, [token_in, token_out], recipient, deadline),
    )
    return V2_ROUTERS[pool.dex], data, _V2_SWAP_GAS


def sign(
    account: LocalAccount,
    chain_id: int,
    nonce: int,
    to: Address,
    data: bytes = b"",
    *,
    gas: int,
    tip: int,
    max_fee: int,
    value: int = 0,
) -> SignedTransaction:
    """An EIP-1559 transaction of one of the replica's own accounts."""
    fields: dict[str, Any] = {
        "type": 2,
        "chainId": chain_id,
        "nonce": nonce,
        "to": to,
        "value": value,
        "data": data,
        "gas": gas,
        "maxFeePerGas": max_fee,
        "maxPriorityFeePerGas": tip,
    }
    raw = account.sign_transaction(fields).raw_transaction
    return decode_transaction("0x" + bytes(raw).hex(), "transaction", chain_id)


def derived_key(purpose: str) -> bytes:
    """The key of one of the replica's own accounts; worthless elsewhere, since anyone can compute it."""
    return keccak(text=f"alpha-orion replica: {purpose}")
