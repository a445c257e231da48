"""The probe of tokens: hostile ones of our own, the replica's real ones, and its bytecode."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keeper.domain.errors import ComponentError, InputError
from keeper.domain.token_facts import TokenFacts
from keeper.domain.units import Address
from keeper.market.loader import load_pools
from keeper.market.node import Node
from keeper.market.specs import read_pool_specs
from keeper.market.token_probe import TokenProbe
from keeper.market.token_probe_code import PROBE_CODE
from keeper.market.token_probe_slots import find_balance_slot
from keeper.market.token_verdict import report_words
from keeper.replica.abi import arguments_of
from tests.conftest import RunningReplica
from tests.contracts import compiler
from tests.market.chain import address, header
from tests.market.json_rpc_server import Refusal, json_rpc_server
from tests.replica.chain import Chain

HERE = Path(__file__).with_name("solidity")
SOURCE = Path(__file__).parents[2] / "keeper" / "market" / "solidity" / "TokenProbe.sol"
POOL, EXECUTOR, OPERATOR = address(0xB001), address(0xE0EC), address(0x0FEE)
BALANCE = 987_654_321 * 10**9 + 7


class Bench:
    """Deploys tokens and probes them."""

    def __init__(self, replica: RunningReplica) -> None:
        self.replica = replica
        self.chain = Chain(replica)
        self.compiled = compiler.compile_sources({"Tokens.sol": (HERE / "Tokens.sol").read_text()}, quick=True)

    def deploy(self, name: str, *, holder: Address | None = POOL, arguments: bytes = b"") -> Address:
        token = self.chain.create(self.compiled[name].init_code + arguments)
        if holder is not None:
            self.chain.execute(token, "mint(address,uint256)", holder, BALANCE)
        return token

    def probe(self, token: Address, holder: Address = POOL) -> TokenFacts:
        return self.probe_all({token: holder})[token]

    def probe_all(self, holders: dict[Address, Address], **options: Any) -> dict[Address, TokenFacts]:
        async def work() -> dict[Address, TokenFacts]:
            async with Node(self.replica.http_url) as node:
                probe = TokenProbe(node, executor=EXECUTOR, operator=OPERATOR)
                return dict(await probe.probe(holders, await node.block(), **options))

        return self.replica.background.run(work())


@pytest.fixture(scope="module")
def bench(replica: RunningReplica) -> Bench:
    return Bench(replica)


def test_the_code_is_what_the_source_compiles_to() -> None:
    settings = {
        "optimizer": {"enabled": True, "runs": 200},
        "viaIR": True,
        "evmVersion": "cancun",
        "metadata": {"bytecodeHash": "none", "appendCBOR": False},
        "outputSelection": {"*": {"*": ["evm.deployedBytecode.object"]}},
    }
    sources = {"TokenProbe.sol": {"content": SOURCE.read_text()}}
    request = {"language": "Solidity", "sources": sources, "settings": settings}
    output = compiler._compiled(json.dumps(request, sort_keys=True), quick=False)
    code = output["contracts"]["TokenProbe.sol"]["TokenProbe"]["evm"]["deployedBytecode"]["object"]
    assert "0x" + code == PROBE_CODE


@pytest.mark.parametrize("name", ["Plain", "NoReturn", "Pausable", "Blocklist", "LooksAtReceiver", "AnswersAll"])
def test_tokens_that_behave_may_be_traded(bench: Bench, name: str) -> None:
    facts = bench.probe(bench.deploy(name))
    assert facts.refused is None
    assert (facts.fee_on_transfer_bps, facts.rebasing) == (0, False)
    assert facts.returns_nothing is (name == "NoReturn")
    assert facts.pausable is (name == "Pausable")
    assert facts.blocklist is (name == "Blocklist")
    assert facts.decimals == (None if name == "NoReturn" else 9)
    assert 10_000 < facts.transfer_gas < 80_000


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Fee", "it takes a fee of up to 137 bps"),
        ("SellFee", "it takes a fee of up to 2500 bps"),
        ("Salmonella", "it takes a fee of up to 9001 bps"),
        ("FeeOnTop", "it takes a fee of up to 100 bps"),
        ("TakesAll", "it takes a fee of up to 10000 bps"),
        ("Interest", "its balances change without transfers"),
        ("Shares", "its balances change without transfers, or are shares that round"),
        ("NamedShares", "its balances change without transfers, or are shares"),
        ("ReturnsFalse", "from the pool to the executor returns false"),
        ("DoesNothing", "a transfer leaves the balances as they are"),
        ("ReturnsTwo", "returns something else than a truth value"),
        ("ReturnsMuch", "returns something else than a truth value"),
        ("Honeypot", "from the executor back to the pool reverts"),
        ("LargestTransfer", "1/3 of the pool's balance from the pool to the executor reverts"),
        ("SameForAll", "a transfer leaves the balances as they are"),
        ("LiesToOthers", "balanceOf answers different callers differently"),
        ("Inflates", "a transfer moves more"),
        ("CallsReceiver", "a transfer calls the pool or the executor"),
        ("SyncsPool", "a transfer calls the pool or the executor"),
        ("SendsAgain", "a transfer calls the pool or the executor"),
        ("Loops", "takes more than 500000 gas"),
        ("BalanceLoops", "balanceOf does not answer"),
        ("BalanceWrites", "balanceOf does not answer"),
    ],
)
def test_tokens_that_do_not_are_refused_with_the_reason(bench: Bench, name: str, reason: str) -> None:
    facts = bench.probe(bench.deploy(name))
    assert facts.refused is not None, facts
    assert reason in facts.refused
    assert facts.rebasing is (name in ("Interest", "Shares", "NamedShares"))
    assert TokenFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts


def test_a_balance_with_much_behind_it_costs_no_more_than_its_gas(bench: Bench) -> None:
    facts = bench.probe(bench.deploy("BalanceReturnsMuch"))
    assert facts.refused is None


def test_what_the_owner_has_stopped_is_refused(bench: Bench) -> None:
    paused, listed = bench.deploy("Pausable"), bench.deploy("Blocklist")
    bench.chain.execute(paused, "pause()")
    bench.chain.execute(listed, "blacklist(address)", EXECUTOR)
    for token, flags in ((paused, (True, False)), (listed, (False, True))):
        facts = bench.probe(token)
        assert "from the pool to the executor reverts" in str(facts.refused)
        assert (facts.pausable, facts.blocklist) == flags


@pytest.mark.parametrize("layout", [0, 1, 2])
def test_a_balance_is_written_where_nobody_holds_the_token(bench: Bench, layout: int) -> None:
    token = bench.deploy("Layouts", holder=None, arguments=arguments_of("uint256", layout))
    assert bench.probe(token).refused is None


def test_the_slots_of_real_tokens_are_found(bench: Bench) -> None:
    async def find(token: Address) -> int | None:
        async with Node(bench.replica.http_url) as node:
            return await find_balance_slot(node, token, POOL, await node.block())

    found = {
        symbol: bench.replica.background.run(find(token["address"])) for symbol, token in bench.replica.tokens.items()
    }
    assert None not in found.values(), found
    # an empty holder is as good as any where the slot is known
    usdc = bench.replica.tokens["USDC"]["address"]
    assert bench.probe(usdc, address(0x123456)).refused is None


def test_a_token_that_nobody_holds_and_whose_slot_is_hidden_is_refused(bench: Bench) -> None:
    assert "no balance of it could be found" in str(bench.probe(bench.deploy("Interest", holder=None)).refused)
    assert "balanceOf does not answer" in str(bench.probe(address(0x987654)).refused)


def test_the_tokens_of_the_replica_pass(bench: Bench) -> None:
    """WETH9, USDC behind its proxy, USDT without a return value, DAI, and all others, from their own pools."""

    async def deepest() -> dict[Address, Address]:
        async with Node(bench.replica.http_url) as node:
            specs = read_pool_specs(bench.replica.state.pools_path)
            pools = await load_pools(node, specs, await node.block())
        holders: dict[Address, Address] = {}
        for pool in sorted(pools.values(), key=lambda pool: pool.spot_liquidity(pool.token0)):
            holders |= {pool.token0: pool.address, pool.token1: pool.address}
        return holders

    steps: list[tuple[str, int, int]] = []
    holders = bench.replica.background.run(deepest())
    facts = bench.probe_all(holders, progress=lambda *step: steps.append(step))
    known = {token["address"]: token for token in bench.replica.tokens.values()}
    assert facts.keys() == known.keys()
    for token, verdict in facts.items():
        assert verdict.refused is None, verdict
        assert verdict.decimals == known[token]["decimals"]
        assert (verdict.fee_on_transfer_bps, verdict.rebasing) == (0, False)
        assert verdict.returns_nothing is (known[token]["symbol"] == "USDT")
    assert steps == [("tokens", number + 1, len(holders)) for number in range(len(holders))]


async def test_what_is_known_is_not_probed_again() -> None:
    facts = TokenFacts(address(5), 18, 0, False, False, 30_000, False, False, None)

    async def refuse(method: str, params: list[Any]) -> object:
        raise Refusal(-32601, f"{method} {params}")

    async with json_rpc_server(refuse) as url, Node(url) as node:
        probe = TokenProbe(node, executor=EXECUTOR, operator=OPERATOR, known={address(5): facts})
        assert await probe.probe({address(5): POOL}, header(100)) == {address(5): facts}


async def test_a_node_that_cannot_simulate_is_named() -> None:
    async def refuse(method: str, params: list[Any]) -> object:
        raise Refusal(-32601, f"{method} {params}")

    async with json_rpc_server(refuse) as url, Node(url) as node:
        probe = TokenProbe(node, executor=EXECUTOR, operator=OPERATOR)
        with pytest.raises(ComponentError, match="does not know eth_simulateV1"):
            await probe.probe({address(5): POOL}, header(100))


async def test_an_answer_that_is_none_is_the_nodes_fault() -> None:
    async def answer(method: str, params: list[Any]) -> object:
        assert (method, len(params)) == ("eth_simulateV1", 2)
        return [{"calls": [{"status": "0x1", "returnData": "0x1234"}]}]

    async with json_rpc_server(answer) as url, Node(url) as node:
        probe = TokenProbe(node, executor=EXECUTOR, operator=OPERATOR)
        with pytest.raises(ComponentError, match="eth_simulateV1"):
            await probe.probe({address(5): POOL, address(6): POOL}, header(100))


def test_facts_that_do_not_fit_are_refused() -> None:
    good = TokenFacts(address(5), 18, 0, False, False, 30_000, False, False, None).to_json()
    assert TokenFacts.from_json(good).decimals == 18
    for name, wrong in (
        ("token", "0x1"),
        ("decimals", -1),
        ("transfer_gas", None),
        ("rebasing", 1),
        ("refused", ""),
        ("fee_on_transfer_bps", True),
    ):
        with pytest.raises(InputError, match=name):
            TokenFacts.from_json({**good, name: wrong})
    with pytest.raises(ValueError, match="no array"):
        report_words(b"\0" * 64)
