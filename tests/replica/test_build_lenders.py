"""Every lender lends, takes exactly its fee, and refuses a borrower who pays back less."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from keeper.config import load_settings
from keeper.replica import addresses
from keeper.replica.abi import arguments_of, call_data
from keeper.replica.compile import Unit, compile_unit
from keeper.replica.deploy import DeployError
from tests.conftest import BackgroundLoop, RunningReplica
from tests.replica.chain import Chain

Loan = Callable[[str, str, int], tuple[str, bytes]]
"""Borrower, token and amount to the lender and the calldata that starts the loan."""


def morpho(_: str, token: str, amount: int) -> tuple[str, bytes]:
    data = call_data("flashLoan(address,uint256,bytes)", token, amount, arguments_of("address", token))
    return addresses.MORPHO, data


def balancer(borrower: str, token: str, amount: int) -> tuple[str, bytes]:
    data = call_data("flashLoan(address,address[],uint256[],bytes)", borrower, [token], [amount], b"")
    return addresses.BALANCER_VAULT, data


def aave(borrower: str, token: str, amount: int) -> tuple[str, bytes]:
    data = call_data("flashLoanSimple(address,address,uint256,bytes,uint16)", borrower, token, amount, b"", 0)
    return addresses.AAVE_POOL, data


def spark(borrower: str, token: str, amount: int) -> tuple[str, bytes]:
    return addresses.SPARK_POOL, aave(borrower, token, amount)[1]


def dodo(borrower: str, token: str, amount: int) -> tuple[str, bytes]:
    """The base token from the pool where it is WETH, else from the one where it is DAI."""
    pool = addresses.DODO_WETH_USDC if token == WETH else addresses.DODO_DAI_USDT
    split = (0, amount) if token == USDT else (amount, 0)
    data = arguments_of("address", token)
    return pool, call_data("flashLoan(uint256,uint256,address,bytes)", *split, borrower, data)


def maker(borrower: str, token: str, amount: int) -> tuple[str, bytes]:
    return addresses.DSS_FLASH, call_data("flashLoan(address,address,uint256,bytes)", borrower, token, amount, b"")


def uniswap_v4(_: str, token: str, amount: int) -> tuple[str, bytes]:
    return addresses.POOL_MANAGER, call_data("unlock(bytes)", arguments_of("address,uint256", token, amount))


WETH, USDC, USDT = addresses.WETH.address, addresses.USDC.address, addresses.USDT.address
WBTC, DAI = addresses.WBTC, addresses.DAI
ETHER = 10**18
LOANS = [
    pytest.param(morpho, WETH, 50_000 * ETHER, 0, id="Morpho WETH"),
    pytest.param(morpho, WBTC, 2_000 * 10**8, 0, id="Morpho WBTC"),
    pytest.param(balancer, WETH, 10_000 * ETHER, 0, id="Balancer V2 WETH"),
    pytest.param(balancer, USDC, 20_000_000 * 10**6, 0, id="Balancer V2 USDC"),
    pytest.param(aave, WETH, 100_000 * ETHER, 50 * ETHER, id="Aave V3 WETH"),
    pytest.param(aave, USDC, 1_000_001, 500, id="Aave V3 USDC"),  # 500.0005 rounded half up
    pytest.param(spark, WETH, 50_000 * ETHER, 0, id="Spark WETH"),
    pytest.param(spark, DAI, 100_000_000 * ETHER, 0, id="Spark DAI"),
    pytest.param(dodo, WETH, 300 * ETHER, 0, id="DODO WETH"),
    pytest.param(dodo, USDT, 900_000 * 10**6, 0, id="DODO USDT"),
    pytest.param(maker, DAI, 500_000_000 * ETHER, 0, id="DssFlash DAI"),
    pytest.param(uniswap_v4, USDC, 10_000_000 * 10**6, 0, id="Uniswap V4 USDC"),
]


@pytest.fixture(scope="module")
def borrower_code(background: BackgroundLoop) -> bytes:
    unit = Unit(
        compiler="solc",
        entries=("FlashBorrower.sol",),
        roots={"": Path(__file__).parent},
        settings={"evmVersion": "cancun"},
    )
    return background.run(compile_unit(unit, load_settings().home))["FlashBorrower"]


@pytest.mark.parametrize(("loan", "token", "amount", "fee"), LOANS)
def test_flash_loan(
    loan: Loan, token: str, amount: int, fee: int, replica: RunningReplica, borrower_code: bytes
) -> None:
    chain = Chain(replica)
    borrower = chain.create(borrower_code)
    if fee:
        chain.execute(token, "transfer(address,uint256)", borrower, fee, sender=addresses.TRADERS[0])
    lender, data = loan(borrower, token, amount)

    chain.execute(borrower, "setStingy(bool)", True)
    with pytest.raises(DeployError):
        chain.execute(borrower, "borrow(address,bytes)", lender, data)

    chain.execute(borrower, "setStingy(bool)", False)
    chain.execute(borrower, "borrow(address,bytes)", lender, data)
    noted = tuple(chain.read(borrower, f"{name}()", "uint256") for name in ("amount", "fee", "balanceInside"))
    assert noted == (amount, fee, amount + fee)
    assert chain.balance(token, borrower) == 0


def test_maker_ceiling_and_token(replica: RunningReplica, borrower_code: bytes) -> None:
    chain = Chain(replica)
    borrower = chain.create(borrower_code)
    ceiling = chain.read(addresses.DSS_FLASH, "maxFlashLoan(address)", "uint256", DAI)
    assert chain.read(addresses.DSS_FLASH, "maxFlashLoan(address)", "uint256", USDC) == 0
    supply = chain.read(DAI, "totalSupply()", "uint256")
    for (token, amount), reason in {
        (DAI, ceiling + 1): "ceiling-exceeded",
        (USDC, 1): "token-unsupported",
    }.items():
        with pytest.raises(DeployError, match=reason):
            chain.execute(borrower, "borrow(address,bytes)", *maker(borrower, token, amount))
    chain.execute(borrower, "borrow(address,bytes)", *maker(borrower, DAI, ceiling))
    assert chain.read(DAI, "totalSupply()", "uint256") == supply  # minted for the call only


def test_aave_premium_is_five_basis_points(replica: RunningReplica) -> None:
    assert Chain(replica).read(addresses.AAVE_POOL, "FLASHLOAN_PREMIUM_TOTAL()", "uint128") == 5
