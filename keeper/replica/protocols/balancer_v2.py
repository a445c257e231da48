"""Balancer V2: authorizer, vault with cash to lend, and the 50/50 pool of USDC and WETH."""

from __future__ import annotations

from keeper.domain.units import to_address
from keeper.replica import addresses
from keeper.replica.abi import arguments_of, call_data
from keeper.replica.deploy import DeployError
from keeper.replica.site import Site

_PACKAGE = "@balancer-labs/v2-deployments"
_TASKS = "dist/tasks/"
_DAY = 86_400
_HALF = 5 * 10**17
_BPS = 10**14
_WEIGHTED_FACTORY_NONCE = 15
"""Pools that the factory had made before this one; a contract's own nonce starts at 1."""
_JOIN = "joinPool(bytes32,address,address,(address[],uint256[],bytes,bool))"


async def deploy(site: Site) -> None:
    chain, artifacts, vault = site.chain, site.artifacts, addresses.BALANCER_VAULT
    authorizer = artifacts.creation_code(_PACKAGE, _TASKS + "20210418-authorizer/artifact/Authorizer.json")
    await chain.deploy_in_place(addresses.BALANCER_AUTHORIZER, authorizer + arguments_of("address", chain.account))
    code = artifacts.creation_code(_PACKAGE, _TASKS + "20210418-vault/artifact/Vault.json")
    code += arguments_of(
        "address,address,uint256,uint256",
        *(addresses.BALANCER_AUTHORIZER, addresses.WETH.address, 90 * _DAY, 30 * _DAY),
    )
    await chain.deploy_in_place(vault, code)
    await site.approve_all(vault)
    await _weighted_pool(site)
    await _lending_cash(site)


async def _weighted_pool(site: Site) -> None:
    chain, section = site.chain, site.markets.sections["balancer_v2"]
    usdc, weth = site.token("USDC"), site.token("WETH")
    factory = addresses.BALANCER_WEIGHTED_FACTORY
    code = site.artifacts.creation_code(
        _PACKAGE, _TASKS + "deprecated/20210418-weighted-pool/artifact/WeightedPool2TokensFactory.json"
    )
    await chain.deploy_in_place(factory, code + arguments_of("address", addresses.BALANCER_VAULT))
    await chain.rpc("anvil_setNonce", factory, hex(_WEIGHTED_FACTORY_NONCE))
    create = call_data(
        "create(string,string,address[],uint256[],uint256,bool,address)",
        *("Balancer 50 USDC 50 WETH", "B-50USDC-50WETH", [usdc.address, weth.address], [_HALF, _HALF]),
        *(section["swap_fee_bps"] * _BPS, True, chain.account),
    )
    receipt = await chain.send(chain.account, factory, create)
    created = [log["topics"][1] for log in receipt["logs"] if log["address"].lower() == factory.lower()]
    pool = to_address("0x" + created[0][-40:], "Balancer pool")
    if pool != addresses.BALANCER_WEIGHTED_POOL:
        raise DeployError(f"Balancer 50 USDC 50 WETH came out at {pool}, not {addresses.BALANCER_WEIGHTED_POOL}")
    pool_id: bytes = await chain.read(pool, "getPoolId()", "bytes32")
    amounts = [usdc.raw(section["depth_usd"] // 2), weth.raw(section["depth_usd"] // 2)]
    first_join = arguments_of("uint256,uint256[]", 0, amounts)
    request = ([usdc.address, weth.address], amounts, first_join, False)
    await chain.execute(addresses.BALANCER_VAULT, _JOIN, pool_id, chain.account, chain.account, request)
    site.other_pools.append(
        {
            "address": pool,
            "venue": "balancer_v2_weighted",
            "dex": "balancer_v2",
            "tokens": [usdc.address, weth.address],
            "pool_id": "0x" + pool_id.hex(),
            "fee_pips": section["swap_fee_bps"] * 100,
        }
    )


async def _lending_cash(site: Site) -> None:
    """Cash in the vault that belongs to no pool: on mainnet it is other pools', here it is an internal balance."""
    deposit_internal = 0
    lenders = site.markets.sections["lenders"]
    operations = [
        (deposit_internal, token.address, token.raw(lenders["balancer_usd"]), site.chain.account, site.chain.account)
        for token in (site.token(symbol) for symbol in lenders["tokens_of_balancer"])
    ]
    await site.chain.execute(
        addresses.BALANCER_VAULT, "manageUserBalance((uint8,address,uint256,address,address)[])", operations
    )
