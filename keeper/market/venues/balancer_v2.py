"""What the pools of Balancer V2 have in common: balances in the Vault, whose events change them.

The Vault emits ``Swap``, ``PoolBalanceChanged`` and ``PoolBalanceManaged`` with the pool's id; the pool itself emits
changes of its fee. Swaps that users settle from their internal balance of the Vault change a pool like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from keeper.domain.chain import Log
from keeper.domain.errors import InputError
from keeper.domain.swap_detail import BalancerV2Id
from keeper.domain.units import Address, Hash32, to_address, to_hash32
from keeper.market.venues import fixed_point as fp
from keeper.market.venues.arithmetic import div_up
from keeper.market.venues.base import InsufficientLiquidity
from keeper.market.venues.fields import FEE_DENOMINATOR, MAX_UINT112, read, read_int, read_text, signed, words
from keeper.market.venues.multi import MultiTokenPool, read_ints, read_token_list

VAULT = Address("0xBA12222222228d8Ba445958a75a0704d566BF2C8")
"""The same address on every chain that has it."""
SWAP_TOPIC = keccak(text="Swap(bytes32,address,address,uint256,uint256)")
POOL_BALANCE_CHANGED_TOPIC = keccak(text="PoolBalanceChanged(bytes32,address,address[],int256[],uint256[])")
POOL_BALANCE_MANAGED_TOPIC = keccak(text="PoolBalanceManaged(bytes32,address,address,int256,int256)")
SWAP_FEE_TOPIC = keccak(text="SwapFeePercentageChanged(uint256)")


@dataclass(frozen=True, slots=True)
class BalancerV2Pool(MultiTokenPool):
    """The state of one pool.

    Attributes:
        vault: where the balances are, and whose events change them.
        pool_id: the pool's id there.
        swap_fee: on the input, 18 decimals.
        balances: by token, raw units, cash and what asset managers hold; uint112.
    """

    vault: Address
    pool_id: Hash32
    swap_fee: int
    balances: tuple[int, ...]

    @property
    def holder(self) -> tuple[Address, bytes]:
        return self.vault, bytes.fromhex(self.pool_id[2:])

    @property
    def fee_pips(self) -> int:
        return div_up(self.swap_fee * FEE_DENOMINATOR, fp.ONE)

    def apply(self, log: Log) -> Self:
        """The state after an event of the Vault that names the pool, or after a change of the pool's own fee."""
        if not log.topics:
            return self
        if log.address == self.address and log.topics[0] == SWAP_FEE_TOPIC:
            (fee,) = words(log, 1)
            if fee >= fp.ONE:
                raise InputError("log.data", fee, "A fee is below 1e18.")
            return self if fee == self.swap_fee else replace(self, swap_fee=fee)
        if log.address != self.vault or log.topics[1:2] != (bytes.fromhex(self.pool_id[2:]),):
            return self
        match log.topics[0]:
            case topic if topic == SWAP_TOPIC:
                if len(log.topics) != 4:
                    raise InputError("log.topics", f"{len(log.topics)} topics", "Swap has four.")
                amount_in, amount_out = words(log, 2)
                return self._changed({_address(log.topics[2]): amount_in, _address(log.topics[3]): -amount_out})
            case topic if topic == POOL_BALANCE_CHANGED_TOPIC:
                try:
                    tokens, deltas, fees = decode(["address[]", "int256[]", "uint256[]"], log.data)
                except (DecodingError, OverflowError) as error:
                    raise InputError("log.data", log.data.hex(), "The event has three arrays.") from error
                if not len(tokens) == len(deltas) == len(fees):
                    raise InputError("log.data", len(tokens), "The arrays are of one length.")
                # protocol fees leave the pool on top of what is joined or exited
                return self._changed(
                    {
                        to_address(token, "log.data"): delta - fee
                        for token, delta, fee in zip(tokens, deltas, fees, strict=True)
                    }
                )
            case topic if topic == POOL_BALANCE_MANAGED_TOPIC:
                if len(log.topics) != 4:
                    raise InputError("log.topics", f"{len(log.topics)} topics", "PoolBalanceManaged has four.")
                cash, managed = map(signed, words(log, 2))
                return self._changed({_address(log.topics[3]): cash + managed})
            case _:
                return self

    def _get_balances(self) -> tuple[int, ...]:
        return self.balances

    def _get_detail(self, i: int, j: int) -> BalancerV2Id:  # noqa: ARG002
        return BalancerV2Id(self.vault, self.pool_id)

    def to_json(self) -> dict[str, Any]:
        return {
            **MultiTokenPool.to_json(self),
            "vault": self.vault,
            "pool_id": self.pool_id,
            "swap_fee": str(self.swap_fee),
            "balances": list(map(str, self.balances)),
        }

    def _changed(self, deltas: Mapping[Address, int]) -> Self:
        """The state with other balances; tokens that are not traded, such as the pool's own, do not count."""
        balances = list(self.balances)
        for token, delta in deltas.items():
            if token in self.tokens:
                balances[self.tokens.index(token)] += delta
        if any(not 0 <= balance <= MAX_UINT112 for balance in balances):
            raise InputError("log.data", dict(deltas), "Balances would be impossible: the state is not the pool's.")
        return self if tuple(balances) == self.balances else replace(self, balances=tuple(balances))

    def _less_fee(self, amount: int) -> int:
        """``_subtractSwapFeeAmount``."""
        return amount - fp.mul_up(amount, self.swap_fee)

    def _plus_fee(self, amount: int) -> int:
        """``_addSwapFeeAmount``."""
        return fp.div_up(amount, fp.ONE - self.swap_fee)

    def _check_held(self, i: int, amount_in: int, j: int, amount_out: int) -> None:
        """The Vault keeps balances in 112 bits."""
        if self.balances[i] + amount_in > MAX_UINT112 or amount_out > self.balances[j]:
            raise InsufficientLiquidity(f"{self.address} cannot hold these amounts")


def read_common(state: Mapping[str, Any], most_tokens: int) -> dict[str, Any]:
    """The fields that every pool of Balancer V2 has in its JSON form."""
    tokens = read_token_list(state, most_tokens)
    return {
        "address": to_address(read(state, "address"), "address"),
        "dex": read_text(state, "dex"),
        "tokens": tokens,
        "vault": to_address(state.get("vault", VAULT), "vault"),
        "pool_id": to_hash32(read(state, "pool_id"), "pool_id"),
        "swap_fee": read_int(state, "swap_fee", 0, fp.ONE - 1),
        "balances": read_ints(state, "balances", len(tokens), 0, MAX_UINT112),
    }


def _address(topic: bytes) -> Address:
    return to_address("0x" + topic[-20:].hex(), "log.topics")
