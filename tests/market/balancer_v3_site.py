"""Balancer V3 for tests: its Vault and pools, compiled from the protocol's npm sources, on a node of the replica.

The Vault runs at mainnet's address, though it is not mainnet's bytecode: other compiler settings, a later release of
the pools. The compiler takes half a minute once; its output stays in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_abi import decode

from keeper.config import load_settings
from keeper.domain.token import VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.market.specs import PoolSpec
from keeper.replica.abi import arguments_of, call_data
from keeper.replica.addresses import TRADERS
from keeper.replica.artifacts import fetch, load_pins
from keeper.replica.compile import Unit, compile_unit
from tests.conftest import RunningReplica
from tests.market.balancer_site import answers
from tests.replica.chain import Chain

VAULT = Address("0xbA1333333333a1BA1108E8412f11850A5C319bA9")
"""The same address on every chain that has it."""
EXTENSION, ADMIN, FEES = (Address(f"0x{VAULT[2:-1]}{digit}") for digit in "abc")
TRADER = TRADERS[1]
RATE = 1_050_000_000_000_000_000
MINIMUM_TRADE = 10**6
_PINS = Path(__file__).with_name("balancer_v3_pins.json")
_BPS = 10**14
_UNIT = 10**16
_WINDOW = 90 * 86_400
_PAUSABLE_UNTIL = 2**32 - 2**24
_TOKENS = "(address,uint8,address,bool)[]"
_REGISTER = (
    f"registerPool(address,{_TOKENS},uint256,uint32,bool,(address,address,address),address,(bool,bool,bool,bool))"
)
_ACT = "act(address,(address,bytes)[])"
_INITIALIZE = "initialize(address,address,address[],uint256[],uint256,bytes)"
_ETHER, _DOLLAR = 10**18, 10**6
_STASH = {"USDC": 20_000_000 * _DOLLAR, "DAI": 20_000_000 * _ETHER, "WETH": 20_000 * _ETHER, "LINK": 4_000_000 * _ETHER}
MINIMUM_BALANCE = {False: 10**6, True: 10**12}
"""At 18 decimals, as the pools' factory sets them: by whether the token has no more than 6 decimals."""

Call = tuple[Address, bytes]


@dataclass(frozen=True, slots=True)
class Part:
    """A token of a pool: how much of it is put in, raw units, and whether it has a rate."""

    token: Address
    held: int
    rated: bool = False


@dataclass(frozen=True, slots=True)
class BalancerV3Site:
    """A filled Vault.

    Attributes:
        hand: `VaultHand.sol`: carries out calls while the Vault is unlocked, and holds tokens for them.
        weighted: USDC 20%, WETH 80%, at 0.3%; and USDC 25%, WETH 50%, LINK 25%, at 0.1%.
        stable: USDC and DAI, amplification 200, at 0.04%.
        rated: USDC, DAI and LINK, the last at the rate `RATE` and with a fee on its yield; otherwise the same.
        rate_provider: answers `RATE` to every call.
    """

    chain: Chain
    hand: Address
    weighted: tuple[PoolSpec, PoolSpec]
    stable: PoolSpec
    rated: PoolSpec
    rate_provider: Address

    def act(self, calls: Sequence[Call]) -> None:
        """Carry the calls out, by a transaction, while the Vault is unlocked."""
        self.chain.execute(self.hand, _ACT, VAULT, list(calls), sender=TRADER)

    def ask(self, calls: Sequence[Call], overrides: dict[str, Any] | None = None) -> list[bytes]:
        """What the calls return, one after another in one unlocked Vault, without a transaction."""
        request = {"to": self.hand, "from": ZERO_ADDRESS, "gas": hex(2**32)}
        request["data"] = "0x" + call_data(_ACT.replace("act", "ask"), VAULT, list(calls)).hex()
        answer = self.chain.replica.rpc("eth_call", request, "latest", overrides or {})
        return list(decode(["bytes[]"], bytes.fromhex(answer[2:]))[0])


def swap_call(pool: Address, token_in: Address, token_out: Address, amount: int, *, exact_in: bool = True) -> Call:
    """The Vault's ``swap``, without a limit; it returns (calculated, in, out)."""
    limit = 0 if exact_in else 2**128
    order = (0 if exact_in else 1, pool, token_in, token_out, amount, limit, b"")
    return VAULT, call_data("swap((uint8,address,address,address,uint256,uint256,bytes))", order)


def settle_calls(token: Address, amount: int) -> list[Call]:
    """Pay ``amount`` from the hand's own tokens."""
    return [
        (token, call_data("transfer(address,uint256)", VAULT, amount)),
        (VAULT, call_data("settle(address,uint256)", token, amount)),
    ]


def send_call(token: Address, to: Address, amount: int) -> Call:
    return VAULT, call_data("sendTo(address,address,uint256)", token, to, amount)


async def _compile() -> dict[str, bytes]:
    home = load_settings().home
    pins = load_pins(_PINS)
    sources = await fetch(home, pins.values())
    vault = "@balancer-labs/v3-vault/contracts"
    unit = Unit(
        compiler="solc",
        entries=(
            *(f"{vault}/{name}.sol" for name in ("Vault", "VaultExtension", "VaultAdmin", "ProtocolFeeController")),
            "@balancer-labs/v3-pool-weighted/contracts/WeightedPool.sol",
            "@balancer-labs/v3-pool-stable/contracts/StablePool.sol",
            "VaultHand.sol",
        ),
        roots={
            "": Path(__file__).with_name("solidity"),
            **{
                f"{name}/" if name.startswith("@balancer") else "@openzeppelin/contracts/": sources.folder(name)
                for name in pins
            },
        },
        settings={"optimizer": {"enabled": True, "runs": 200}, "evmVersion": "cancun"},
    )
    return await compile_unit(unit, home)


def build(replica: RunningReplica) -> BalancerV3Site:
    """Bring the Vault and its pools onto the node; the hand and `TRADER` have tokens left for swaps."""
    chain = Chain(replica)
    run, deployer = replica.background.run, chain.deployer
    code = run(_compile())
    # the authorizer says yes to everybody
    everybody = chain.create(answers(1))
    window = (_WINDOW, 30 * 86_400, MINIMUM_TRADE, 10**4)
    admin = arguments_of("address,uint32,uint32,uint256,uint256", VAULT, *window)
    run(deployer.deploy_in_place(ADMIN, code["VaultAdmin"] + admin))
    run(deployer.deploy_in_place(EXTENSION, code["VaultExtension"] + arguments_of("address,address", VAULT, ADMIN)))
    fees = arguments_of("address,uint256,uint256", VAULT, 50 * _UNIT, 10 * _UNIT)
    run(deployer.deploy_in_place(FEES, code["ProtocolFeeController"] + fees))
    vault = arguments_of("address,address,address", EXTENSION, everybody, FEES)
    run(deployer.deploy_in_place(VAULT, code["Vault"] + vault))
    hand, provider = chain.create(code["VaultHand"]), chain.create(answers(RATE))
    token = {symbol: Address(entry["address"]) for symbol, entry in replica.tokens.items()}
    for symbol, amount in _STASH.items():
        chain.execute(token[symbol], "transfer(address,uint256)", hand, amount, sender=TRADER)

    def pool(init_code: bytes, parts: Sequence[Part], fee_bps: int) -> Address:
        address = chain.create(init_code)
        tokens = [part.token for part in parts]
        config = [(part.token, int(part.rated), provider if part.rated else ZERO_ADDRESS, part.rated) for part in parts]
        nobody = (ZERO_ADDRESS,) * 3
        everything = (False, False, False, True)
        chain.execute(
            VAULT,
            _REGISTER,
            address,
            config,
            fee_bps * _BPS,
            _PAUSABLE_UNTIL,
            False,
            nobody,
            ZERO_ADDRESS,
            everything,
            sender=TRADER,
        )
        initialize = call_data(_INITIALIZE, address, TRADER, tokens, [part.held for part in parts], 0, b"")
        payments = [call for part in parts for call in settle_calls(part.token, part.held)]
        run(deployer.send(TRADER, hand, call_data(_ACT, VAULT, [(VAULT, initialize), *payments])))
        return address

    def weighted(entries: Sequence[tuple[str, int, int]], fee_bps: int) -> PoolSpec:
        rows = sorted((int(token[symbol], 16), percent, Part(token[symbol], held)) for symbol, percent, held in entries)
        weights = [row[1] * _UNIT for row in rows]
        params = ("P", "P", len(rows), weights, "", [MINIMUM_BALANCE[row[2].token == token["USDC"]] for row in rows])
        types = "(string,string,uint256,uint256[],string,uint256[]),address"
        made = pool(code["WeightedPool"] + arguments_of(types, params, VAULT), [row[2] for row in rows], fee_bps)
        return PoolSpec(made, VenueKind.BALANCER_V3_WEIGHTED, "balancer_v3")

    def stable(entries: Sequence[tuple[str, bool, int]], amplification: int, fee_bps: int) -> PoolSpec:
        parts = sorted(
            (Part(token[symbol], held, rated) for symbol, rated, held in entries), key=lambda part: int(part.token, 16)
        )
        types = "(string,string,uint256,string),address"
        made = pool(code["StablePool"] + arguments_of(types, ("S", "S", amplification, ""), VAULT), parts, fee_bps)
        return PoolSpec(made, VenueKind.BALANCER_V3_STABLE, "balancer_v3")

    return BalancerV3Site(
        chain=chain,
        hand=hand,
        weighted=(
            weighted([("USDC", 20, 450_000 * _DOLLAR), ("WETH", 80, 600 * _ETHER)], 30),
            weighted([("USDC", 25, 450_000 * _DOLLAR), ("WETH", 50, 300 * _ETHER), ("LINK", 25, 32_000 * _ETHER)], 10),
        ),
        stable=stable([("USDC", False, 900_000 * _DOLLAR), ("DAI", False, 1_100_000 * _ETHER)], 200, 4),
        rated=stable(
            [
                ("USDC", False, 900_000 * _DOLLAR),
                ("DAI", False, 1_100_000 * _ETHER),
                ("LINK", True, 800_000 * _ETHER),
            ],
            200,
            4,
        ),
        rate_provider=provider,
    )
