"""Simulation with other people's transactions in front, and what is read from reverts and transfers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode
from eth_account import Account
from eth_utils.crypto import keccak
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keeper.domain.errors import ComponentError, InputError
from keeper.execution.gas import next_base_fee
from keeper.execution.predecessors import call_of
from keeper.execution.revert import RevertDecoder
from keeper.execution.simulate import ExecutorCall, Simulator, compare
from keeper.execution.transfers import TRANSFER_TOPIC, net_flow
from keeper.market.node import Node
from tests.execution.bytecode import ERRORS_ABI, EXECUTOR_ADDRESS, TOKEN_ADDRESS, executor_call
from tests.execution.site import DECODER, GWEI, OPERATOR, PROFIT, chain, first_pool, listening, result
from tests.market.chain import header
from tests.routes import pool_address

RIVAL_KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
RIVAL = Account.from_key(RIVAL_KEY)
TO = {"to": EXECUTOR_ADDRESS, "value": 0, "gas": 300_000, "chainId": 1}
ACCESS_LIST = [{"address": TOKEN_ADDRESS, "storageKeys": ["0x" + "01" * 32]}]
PRICES: dict[str, dict[str, Any]] = {
    "legacy": {"gasPrice": 100 * GWEI},
    "eip2930": {"type": 1, "gasPrice": 100 * GWEI, "accessList": ACCESS_LIST},
    "eip1559": {"type": 2, "maxFeePerGas": 100 * GWEI, "maxPriorityFeePerGas": GWEI, "accessList": ACCESS_LIST},
}


def rival_transaction(kind: str, data: bytes, nonce: int = 0) -> bytes:
    signed = RIVAL.sign_transaction({**TO, **PRICES[kind], "data": data, "nonce": nonce})
    return bytes(signed.raw_transaction)


def calls(*numbers: int, amount: int = PROFIT) -> list[ExecutorCall]:
    return [
        ExecutorCall(executor_call(pool_address(first_pool(number)), amount), nonce, 300_000)
        for nonce, number in enumerate(numbers)
    ]


def simulator(node: Node, **options: Any) -> Simulator:
    names = {"operator": OPERATOR, "executor": EXECUTOR_ADDRESS, "token": TOKEN_ADDRESS, "decoder": DECODER}
    return Simulator(node, **(names | options))


@pytest.mark.parametrize("kind", list(PRICES))
async def test_predecessors_come_first_and_cost_what_they_cost(kind: str, tmp_path: Path) -> None:
    """Their effect on state and gas is that of the block in which both are mined."""
    async with chain(tmp_path) as site:
        for number in (1, 2):
            await site.pool(first_pool(number))
        head = await site.mine()
        rival = rival_transaction(kind, executor_call(pool_address(first_pool(1)), 5))
        ours = calls(1, 2)
        alone = await simulator(site.node).run(ours, head, next_base_fee(head))
        behind = await simulator(site.node).run(ours, head, next_base_fee(head), predecessors=[rival])
        assert [call.ok for call in alone] == [True, True]
        assert [call.ok for call in behind] == [False, True]
        assert behind[0].revert is not None
        assert behind[0].revert.text == "PoolTaken(1)"
        await site.send_raw(rival)
        fees = {"maxFeePerGas": hex(100 * GWEI), "maxPriorityFeePerGas": "0x1"}
        sent = [
            await site.rpc(
                "eth_sendTransaction",
                {
                    "from": OPERATOR,
                    "to": EXECUTOR_ADDRESS,
                    "data": "0x" + call.data.hex(),
                    "gas": hex(call.gas),
                    **fees,
                },
            )
            for call in ours
        ]
        await site.mine()
        receipts = [await site.rpc("eth_getTransactionReceipt", one) for one in sent]
        assert [int(receipt["gasUsed"], 16) for receipt in receipts] == [call.gas_used for call in behind]
        assert [int(receipt["status"], 16) == 1 for receipt in receipts] == [call.ok for call in behind]
        flows = [net_flow(receipt["logs"], TOKEN_ADDRESS, EXECUTOR_ADDRESS) for receipt in receipts]
        assert flows == [call.gross for call in behind] == [0, PROFIT]


async def test_an_executor_that_is_not_deployed_can_be_put_in_place(tmp_path: Path) -> None:
    from tests.execution.bytecode import EXECUTOR

    async with chain(tmp_path) as site:
        await site.pool(first_pool(1))
        head = await site.mine()
        elsewhere = pool_address(0xABCDEF)
        options = {"executor": elsewhere, "state_overrides": {elsewhere: {"code": EXECUTOR}}}
        (call,) = await simulator(site.node, **options).run(calls(1), head, next_base_fee(head))
        assert compare(call, PROFIT) is None
        (call,) = await simulator(site.node, executor=elsewhere).run(calls(1), head, next_base_fee(head))
        assert call.gross == 0


def simulated(**changes: Any) -> list[dict[str, Any]]:
    fields: dict[str, Any] = {"status": "0x1", "gasUsed": "0xc350", "returnData": "0x", "logs": [transfer(PROFIT)]}
    return [{"calls": [{name: value for name, value in (fields | changes).items() if value is not None}]}]


def transfer(
    amount: int, *, to: str = EXECUTOR_ADDRESS, sender: str = pool_address(0), token: str = TOKEN_ADDRESS
) -> Any:
    def topic(address: str) -> str:
        return "0x" + "00" * 12 + address[2:].lower()

    return {"address": token.lower(), "topics": [TRANSFER_TOPIC, topic(sender), topic(to)], "data": f"0x{amount:064x}"}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (simulated(), None),
        (simulated(logs=[transfer(PROFIT + 1)]), "simulation_diverged"),
        (simulated(logs=[]), "simulation_diverged"),
        (simulated(gasUsed=None), "simulation_without_gas"),
        (simulated(gasUsed="0x0"), "simulation_without_gas"),
        (simulated(status="0x0", logs=[], error={"code": 3, "message": "x"}), "simulation_reverted"),
    ],
)
async def test_what_counts_as_a_divergence(answer: Any, reason: str | None) -> None:
    async with listening(result(answer)) as socket, Node(socket.url) as node:
        (call,) = await simulator(node).run(calls(1), header(7), 10**9)
    divergence = compare(call, PROFIT)
    assert (divergence.reason if divergence else None) == reason
    (params,) = [json.loads(body)["params"] for _, body in socket.requests]
    block = params[0]["blockStateCalls"][0]["blockOverrides"]
    assert block["number"] == "0x8"
    assert int(block["time"], 16) == header(7).timestamp + 12
    assert block["baseFeePerGas"] == hex(10**9)
    assert params[0]["traceTransfers"] is False
    assert params[1] == {"blockHash": header(7).hash, "requireCanonical": True}


@pytest.mark.parametrize(
    "answer", [None, [], [{}], [{"calls": []}], [{"calls": [{}]}], {"calls": 1}, "0x", simulated(status="yes")]
)
async def test_rubbish_from_the_node_is_told(answer: Any) -> None:
    async with listening(result(answer)) as socket, Node(socket.url) as node:
        with pytest.raises(ComponentError, match="node"):
            await simulator(node).run(calls(1), header(7), 10**9)


def test_flows_count_both_directions_of_one_token() -> None:
    other = pool_address(9)
    logs = [
        transfer(100),
        transfer(30, sender=EXECUTOR_ADDRESS, to=other),
        transfer(7, sender=EXECUTOR_ADDRESS, to=EXECUTOR_ADDRESS),
        transfer(10**30, token=other),
        transfer(10**30, sender=other, to=other),
        {"address": TOKEN_ADDRESS, "topics": ["0x" + "12" * 32], "data": "0x"},
        {"address": TOKEN_ADDRESS, "topics": [], "data": "0x"},
    ]
    assert net_flow(logs, TOKEN_ADDRESS, EXECUTOR_ADDRESS) == 70
    odd = {"address": TOKEN_ADDRESS, "topics": [TRANSFER_TOPIC], "data": "0x" + "00" * 96}
    with pytest.raises(InputError, match="ERC-20"):
        net_flow([odd], TOKEN_ADDRESS, EXECUTOR_ADDRESS)


@pytest.mark.parametrize(
    ("data", "reason", "text"),
    [
        (b"", "revert_without_data", "reverted without data"),
        (
            keccak(text="Error(string)")[:4] + abi_encode(["string"], ["UniswapV2: K"]),
            "revert_with_message",
            "UniswapV2: K",
        ),
        (keccak(text="Panic(uint256)")[:4] + abi_encode(["uint256"], [0x11]), "revert_panic", "Panic(0x11)"),
        (keccak(text="PoolTaken(uint256)")[:4] + abi_encode(["uint256"], [3]), "revert_pool_taken", "PoolTaken(3)"),
        (keccak(text="PoolTaken(uint256)")[:4], "revert_unknown", "0x" + keccak(text="PoolTaken(uint256)")[:4].hex()),
        (b"\x01\x02\x03\x04rest", "revert_unknown", "0x0102030472657374"),
    ],
)
def test_reverts_are_named(data: bytes, reason: str, text: str) -> None:
    revert = DECODER.decode(data)
    assert (revert.reason, revert.text) == (reason, text)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ERC20Failed", "revert_erc20_failed"),
        ("ProfitTooSmall", "revert_profit_too_small"),
        ("BadV3Pool", "revert_bad_v3_pool"),
    ],
)
def test_reasons_are_snake_case(name: str, reason: str) -> None:
    inputs = [{"name": "p", "type": "tuple[]", "components": [{"type": "address"}, {"type": "uint8[2]"}]}]
    decoder = RevertDecoder([{"type": "error", "name": name, "inputs": inputs}, {"type": "function", "name": "x"}])
    selector = keccak(text=f"{name}((address,uint8[2])[])")[:4]
    assert decoder.decode(selector + abi_encode(["(address,uint8[2])[]"], [[]])).reason == reason


@settings(deadline=None)
@given(
    st.sampled_from([b"", *(keccak(text=s)[:4] for s in ("Error(string)", "Panic(uint256)", "PoolTaken(uint256)"))]),
    st.binary(max_size=300),
)
def test_any_revert_data_is_read(selector: bytes, rest: bytes) -> None:
    revert = RevertDecoder(ERRORS_ABI).decode(selector + rest)
    assert revert.reason.startswith("revert_")
    assert revert.text


@settings(deadline=None)
@example(b"\xc0")  # a list of nothing
@given(st.binary(max_size=300))
def test_no_bytes_pass_for_a_transaction(raw: bytes) -> None:
    with pytest.raises(InputError, match="predecessor"):
        call_of(raw)


@settings(deadline=None)
@given(st.sampled_from(list(PRICES)), st.binary(max_size=60), st.integers(0, 2**32))
def test_calls_of_signed_transactions(kind: str, data: bytes, nonce: int) -> None:
    call = call_of(rival_transaction(kind, data, nonce))
    assert (call["from"], call["to"], call["nonce"], call["value"]) == (
        RIVAL.address,
        EXECUTOR_ADDRESS,
        hex(nonce),
        "0x0",
    )
    assert call["input"] == "0x" + data.hex()
    assert call["gas"] == hex(300_000)
    for name in ("gasPrice", "maxFeePerGas", "maxPriorityFeePerGas"):
        assert call.get(name) == (hex(PRICES[kind][name]) if name in PRICES[kind] else None)
    assert call.get("accessList") == PRICES[kind].get("accessList")
