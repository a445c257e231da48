"""The two ways of deploying, the compiler, and how the build reports what goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from keeper.domain.errors import ComponentError, InputError
from keeper.domain.units import Address
from keeper.embedded.process import free_port
from keeper.replica.abi import argument_types, arguments_of, call_data, decode_result
from keeper.replica.anvil import Anvil
from keeper.replica.compile import Unit, compile_unit, gather_sources
from keeper.replica.deploy import DeployError, create2_address, create_address
from keeper.replica.rpc import Rpc, RpcError
from tests.conftest import RunningReplica
from tests.replica.chain import SCRATCH, Chain

RETURNS_ONE_BYTE = bytes.fromhex("60fe60005360016000f3")
"""Init code: its runtime code is the single byte 0xfe."""
STORES_SENDER = bytes.fromhex("33600055" + "60fe60005360016000f3")
REVERTS = bytes.fromhex("60006000fd")
TARGET = Address("0x00000000000000000000000000000000DeaDBeef")


def test_addresses_of_create2_after_eip_1014() -> None:
    from eth_utils.crypto import keccak

    deployer = "0xdeadbeef00000000000000000000000000000000"
    zero = bytes(32)
    assert create2_address(deployer, zero, keccak(b"\0")) == "0xB928f69Bb1D91Cd65274e3c79d8986362984fDA3"
    assert create2_address("0x" + "00" * 20, zero, keccak(b"")) == "0xE33C0C7F7df4809055C3ebA6c09CFe4BaF1BD9e0"


def test_create_at_nonce_gives_the_address_of_that_nonce(fresh_replica: RunningReplica) -> None:
    deployer = Chain(fresh_replica).deployer
    creator = "0x" + "ab" * 20
    expected = create_address(creator, 77)
    fresh_replica.background.run(deployer.create_at_nonce(creator, 77, RETURNS_ONE_BYTE, expected))
    assert fresh_replica.rpc("eth_getCode", expected, "latest") == "0xfe"
    with pytest.raises(DeployError, match="instead of"):
        fresh_replica.background.run(deployer.create_at_nonce(creator, 78, RETURNS_ONE_BYTE, expected))


def test_deploy_in_place_keeps_storage_and_leaves_the_runtime_code(fresh_replica: RunningReplica) -> None:
    deployer = Chain(fresh_replica).deployer
    fresh_replica.background.run(deployer.deploy_in_place(TARGET, STORES_SENDER))
    assert fresh_replica.rpc("eth_getCode", TARGET, "latest") == "0xfe"
    assert fresh_replica.rpc("eth_getStorageAt", TARGET, "0x0", "latest")[-40:] == SCRATCH[2:].lower()
    assert fresh_replica.rpc("eth_getTransactionCount", TARGET, "latest") == "0x1"


def test_a_constructor_without_code_is_an_error(fresh_replica: RunningReplica) -> None:
    deployer = Chain(fresh_replica).deployer
    with pytest.raises(DeployError, match="returned no code"):
        fresh_replica.background.run(deployer.deploy_in_place(TARGET, bytes.fromhex("00")))
    with pytest.raises(DeployError, match="failed"):
        fresh_replica.background.run(deployer.deploy_in_place(TARGET, REVERTS))


def test_a_failure_inside_a_batch_is_not_lost(fresh_replica: RunningReplica) -> None:
    chain = Chain(fresh_replica)
    token = fresh_replica.tokens["WETH"]["address"]

    async def three_transfers(amount: int) -> None:
        async with chain.deployer.batched():
            for value in (0, amount, 0):
                await chain.deployer.execute(token, "transfer(address,uint256)", TARGET, value)

    fresh_replica.background.run(three_transfers(0))
    with pytest.raises(DeployError, match="1 of 3"):
        fresh_replica.background.run(three_transfers(1))
    chain.execute(token, "deposit()", value=1)  # mined at once again
    assert chain.balance(token, SCRATCH) == 1


async def test_nobody_at_the_url_is_a_clear_error() -> None:
    async with Rpc(f"http://127.0.0.1:{free_port()}") as rpc:
        with pytest.raises(ComponentError, match="no answer to eth_chainId"):
            await rpc("eth_chainId")


def test_an_error_of_the_node_keeps_code_and_data(replica: RunningReplica) -> None:
    with pytest.raises(RpcError) as refused:
        replica.rpc("eth_noSuchMethod")
    assert refused.value.code == -32601
    weth = replica.tokens["WETH"]["address"]
    query = {"to": weth, "data": "0x" + call_data("withdraw(uint256)", 1).hex()}
    with pytest.raises(RpcError, match="revert"):
        replica.rpc("eth_call", query, "latest")


async def test_a_state_that_anvil_cannot_read_shows_what_anvil_said(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(ComponentError, match=r"(?s)anvil: ended with status .*broken\.json|EOF"):
        async with Anvil(log_dir=tmp_path, timestamp=1, load_state=broken):
            pass


def test_signatures_with_nested_types() -> None:
    assert argument_types("f((uint256,bool)[],bytes)") == ("(uint256,bool)[]", "bytes")
    assert argument_types("f()") == ()
    assert call_data("transfer(address,uint256)", TARGET, 1).hex().startswith("a9059cbb")
    assert decode_result("uint8,bool", arguments_of("uint8,bool", 3, True)) == (3, True)


def unit(folder: Path, *entries: str) -> Unit:
    return Unit("solc", entries, {"": folder, "@lib/": folder / "library"}, {"evmVersion": "cancun"})


def test_imports_are_followed(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "A.sol").write_text('import "../B.sol";\nimport {C as D} from "@lib/C.sol";\n')
    (tmp_path / "B.sol").write_text("// none\n")
    (tmp_path / "library" / "C.sol").write_text('import * as E from "./E.sol";\n')
    (tmp_path / "library" / "E.sol").write_text("")
    found = gather_sources(unit(tmp_path, "deep/A.sol"))
    assert set(found) == {"deep/A.sol", "B.sol", "@lib/C.sol", "@lib/E.sol"}
    (tmp_path / "B.sol").unlink()
    with pytest.raises(InputError, match=r"B\.sol"):
        gather_sources(unit(tmp_path, "deep/A.sol"))


async def test_a_source_that_does_not_compile_is_shown(tmp_path: Path) -> None:
    (tmp_path / "A.sol").write_text("pragma solidity 0.8.30; contract A { uint256 x = nothing; }")
    with pytest.raises(InputError, match="Undeclared identifier"):
        await compile_unit(unit(tmp_path, "A.sol"), tmp_path)
    assert not (tmp_path / "cache").exists()


async def test_compiled_code_is_cached_by_its_sources(tmp_path: Path) -> None:
    source = tmp_path / "A.sol"
    source.write_text("pragma solidity 0.8.30; contract A { uint256 public constant x = 1; }")
    first = await compile_unit(unit(tmp_path, "A.sol"), tmp_path)
    [cached] = (tmp_path / "cache" / "solidity").iterdir()
    stamp = cached.stat().st_mtime_ns
    assert await compile_unit(unit(tmp_path, "A.sol"), tmp_path) == first
    assert cached.stat().st_mtime_ns == stamp
    source.write_text("pragma solidity 0.8.30; contract A { uint256 public constant x = 2; }")
    assert await compile_unit(unit(tmp_path, "A.sol"), tmp_path) != first
