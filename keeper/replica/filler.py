"""Gas that stands for the rest of mainnet's traffic, so that the replica's base fee wanders instead of decaying."""

from __future__ import annotations

import math
from random import Random

from eth_account import Account
from eth_account.signers.local import LocalAccount

from keeper.domain.units import to_address
from keeper.replica.bundle_simulation import BlockContext
from keeper.replica.bundles import TRANSACTION_GAS_CAP, SignedTransaction
from keeper.replica.rpc import Rpc
from keeper.replica.swaps import derived_key, sign

_FEE_REVERSION, _FULLNESS_SPREAD, _SMALLEST_FILLER = 0.06, 0.35, 100_000


class FillerGas:
    """Gas that stands for the rest of mainnet's traffic, so that the base fee wanders instead of decaying.

    The transactions call a contract whose only opcode is INVALID: each fails and uses its whole gas limit at no cost
    of computing. How much a block gets is drawn so that the logarithm of the base fee reverts to where it started.
    """

    CONTRACT = to_address("0x00000000000000000000000000000000F111e600", "filler contract")
    _FUNDS = 10**27

    def __init__(self, rpc: Rpc, *, seed: int, chain_id: int) -> None:
        self._rpc = rpc
        self._account: LocalAccount = Account.from_key(derived_key("filler gas"))
        self._seed = seed
        self._chain_id = chain_id
        self._level = 0
        self._nonce = 0

    async def start(self, base_fee: int) -> None:
        """Place the contract, fund the account and take ``base_fee`` (wei) as the level to revert to."""
        self._level = base_fee
        await self._rpc("anvil_setCode", self.CONTRACT, "0xfe")
        await self._rpc("anvil_setBalance", self._account.address, hex(self._FUNDS))

    async def prepare(self) -> None:
        """Read the nonce; call before each block."""
        self._nonce = int(await self._rpc("eth_getTransactionCount", self._account.address, "latest"), 16)

    def fill(self, context: BlockContext, used: int, room: int) -> list[SignedTransaction]:
        """Transactions for a block in which others use about ``used`` gas and ``room`` is left for gas limits."""
        return [
            sign(
                self._account,
                self._chain_id,
                self._nonce + index,
                self.CONTRACT,
                gas=gas,
                tip=0,
                max_fee=2 * context.base_fee,
            )
            for index, gas in enumerate(filler_gas(self._seed, self._level, context, used, room))
        ]


def filler_gas(seed: int, level: int, context: BlockContext, used: int, room: int) -> list[int]:
    """Gas limits of the filler transactions of a block.

    The block's use is drawn around half its limit, where the base fee stays, and pulled from there so that the
    logarithm of the base fee reverts to that of ``level``: the base fee moves by an eighth of the relative deviation.
    """
    random = Random(f"filler {seed} {context.number}")
    target = context.gas_limit // 2
    pull = 8 * _FEE_REVERSION * math.log(level / context.base_fee)
    fullness = max(0.1, min(1.8, 1 + pull + random.gauss(0.0, _FULLNESS_SPREAD)))
    left = min(int(target * fullness) - used, room)
    limits: list[int] = []
    while left >= _SMALLEST_FILLER:
        limits.append(min(left, int(TRANSACTION_GAS_CAP * random.uniform(0.5, 1.0))))
        left -= limits[-1]
    return limits
