"""Tokens look and misbehave as on mainnet."""

from __future__ import annotations

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from keeper.replica import addresses
from keeper.replica.abi import arguments_of, call_data
from keeper.replica.deploy import DeployError
from tests.conftest import RunningReplica
from tests.replica.chain import SCRATCH, Chain

MAX_UINT256 = 2**256 - 1
ALICE, BOB = addresses.TRADERS[:2]


@pytest.fixture
def chain(fresh_replica: RunningReplica) -> Chain:
    return Chain(fresh_replica)


def test_metadata(replica: RunningReplica) -> None:
    chain = Chain(replica)
    found = {
        symbol: tuple(
            chain.read(token["address"], f"{field}()", kind)
            for field, kind in (("name", "string"), ("symbol", "string"), ("decimals", "uint8"))
        )
        for symbol, token in replica.tokens.items()
    }
    assert found == {
        "WETH": ("Wrapped Ether", "WETH", 18),
        "USDC": ("USD Coin", "USDC", 6),
        "USDT": ("Tether USD", "USDT", 6),
        "DAI": ("Dai Stablecoin", "DAI", 18),
        "WBTC": ("Wrapped BTC", "WBTC", 8),
        "UNI": ("Uniswap", "UNI", 18),
        "LINK": ("ChainLink Token", "LINK", 18),
        "AAVE": ("Aave Token", "AAVE", 18),
        "wstETH": ("Wrapped liquid staking Ether 2.0", "wstETH", 18),
    }
    assert {symbol: token["decimals"] for symbol, token in replica.tokens.items()} == {
        symbol: decimals for symbol, (_, _, decimals) in found.items()
    }


@pytest.mark.parametrize(
    ("symbol", "slot"),
    [("WETH", 3), ("USDC", 9), ("USDT", 2), ("DAI", 2), ("WBTC", 0), ("AAVE", 0), ("wstETH", 0), ("LINK", 1)],
)
def test_balances_lie_in_mainnets_storage_slots(symbol: str, slot: int, replica: RunningReplica) -> None:
    token = replica.tokens[symbol]["address"]
    place = "0x" + keccak(arguments_of("address,uint256", ALICE, slot)).hex()
    stored = int(replica.rpc("eth_getStorageAt", token, place, "latest"), 16)
    assert stored == Chain(replica).balance(token, ALICE) > 0


def _returned(replica: RunningReplica, token: str, signature: str, *arguments: object) -> str:
    query = {"from": ALICE, "to": token, "data": "0x" + call_data(signature, *arguments).hex()}
    return str(replica.rpc("eth_call", query, "latest"))


def test_tether_returns_nothing_where_others_return_true(replica: RunningReplica) -> None:
    usdt, true = replica.tokens["USDT"]["address"], "0x" + "00" * 31 + "01"
    for signature in ("transfer(address,uint256)", "approve(address,uint256)"):
        assert _returned(replica, usdt, signature, SCRATCH, 1) == "0x"
        for symbol in replica.tokens.keys() - {"USDT"}:
            assert _returned(replica, replica.tokens[symbol]["address"], signature, SCRATCH, 1) == true


def test_tether_refuses_to_change_a_live_allowance(chain: Chain) -> None:
    usdt = addresses.USDT.address
    chain.execute(usdt, "approve(address,uint256)", SCRATCH, 5, sender=ALICE)
    with pytest.raises(DeployError):
        chain.execute(usdt, "approve(address,uint256)", SCRATCH, 6, sender=ALICE)
    chain.execute(usdt, "approve(address,uint256)", SCRATCH, 0, sender=ALICE)
    chain.execute(usdt, "approve(address,uint256)", SCRATCH, 6, sender=ALICE)
    assert chain.read(usdt, "allowance(address,address)", "uint256", ALICE, SCRATCH) == 6


def test_tether_takes_its_fee_up_to_the_cap(chain: Chain) -> None:
    usdt, owner = addresses.USDT.address, addresses.USDT.deployer
    chain.execute(usdt, "setParams(uint256,uint256)", 10, 2, sender=owner)  # 0.1%, at most two dollars
    for amount, fee in ((10**9, 10**6), (10**12, 2 * 10**6)):
        before, income = chain.balance(usdt, SCRATCH), chain.balance(usdt, owner)
        chain.execute(usdt, "transfer(address,uint256)", SCRATCH, amount, sender=ALICE)
        assert chain.balance(usdt, SCRATCH) - before == amount - fee
        assert chain.balance(usdt, owner) - income == fee


def test_tether_blocks_the_blacklisted_and_pauses(chain: Chain) -> None:
    usdt, owner = addresses.USDT.address, addresses.USDT.deployer
    chain.execute(usdt, "addBlackList(address)", ALICE, sender=owner)
    with pytest.raises(DeployError):
        chain.execute(usdt, "transfer(address,uint256)", SCRATCH, 1, sender=ALICE)
    chain.execute(usdt, "transfer(address,uint256)", SCRATCH, 1, sender=BOB)
    chain.execute(usdt, "pause()", sender=owner)
    with pytest.raises(DeployError):
        chain.execute(usdt, "transfer(address,uint256)", SCRATCH, 1, sender=BOB)
    with pytest.raises(DeployError):
        chain.execute(usdt, "unpause()", sender=BOB)


def _dai_permit(holder: str, spender: str, nonce: int, expiry: int, allowed: bool) -> dict[str, object]:
    return {
        "domain": {"name": "Dai Stablecoin", "version": "1", "chainId": 1, "verifyingContract": addresses.DAI},
        "primaryType": "Permit",
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Permit": [
                {"name": "holder", "type": "address"},
                {"name": "spender", "type": "address"},
                {"name": "nonce", "type": "uint256"},
                {"name": "expiry", "type": "uint256"},
                {"name": "allowed", "type": "bool"},
            ],
        },
        "message": {
            "holder": holder,
            "spender": spender,
            "nonce": nonce,
            "expiry": expiry,
            "allowed": allowed,
        },
    }


def test_dai_permit_allows_everything_once_and_nothing_when_revoked(chain: Chain) -> None:
    account = Account.create("permit")
    signature_of = "permit(address,address,uint256,uint256,bool,uint8,bytes32,bytes32)"

    def permit(nonce: int, expiry: int, allowed: bool) -> None:
        message = encode_typed_data(full_message=_dai_permit(account.address, BOB, nonce, expiry, allowed))
        signed = account.sign_message(message)
        parts = (signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big"))
        chain.execute(addresses.DAI, signature_of, account.address, BOB, nonce, expiry, allowed, *parts)

    def allowance() -> int:
        return int(chain.read(addresses.DAI, "allowance(address,address)", "uint256", account.address, BOB))

    permit(0, 0, True)
    assert allowance() == MAX_UINT256
    with pytest.raises(DeployError, match="Dai/invalid-nonce"):
        permit(0, 0, True)
    with pytest.raises(DeployError, match="Dai/permit-expired"):
        permit(1, 1, True)
    permit(1, 0, False)
    assert allowance() == 0


def test_dai_is_minted_by_wards_only(chain: Chain) -> None:
    with pytest.raises(DeployError, match="Dai/not-authorized"):
        chain.execute(addresses.DAI, "mint(address,uint256)", SCRATCH, 1)


def test_weth_wraps_and_unwraps(chain: Chain) -> None:
    weth = addresses.WETH.address
    chain.execute(weth, "deposit()", value=7)
    assert chain.balance(weth, SCRATCH) == 7
    chain.execute(weth, "withdraw(uint256)", 7)
    assert chain.balance(weth, SCRATCH) == 0


def test_usdc_is_the_proxy_of_circles_contract(chain: Chain) -> None:
    usdc = addresses.USDC.address
    assert chain.read(usdc, "version()", "string") == "2"
    assert chain.read(usdc, "currency()", "string") == "USD"
    with pytest.raises(DeployError, match="caller is not a minter"):
        chain.execute(usdc, "mint(address,uint256)", SCRATCH, 1)
