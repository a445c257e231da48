"""Calldata of the contracts that the executor is held against: a multicall of the common kind, and Uniswap's router."""

from __future__ import annotations

from eth_abi.abi import encode

from keeper.domain.route import Route
from keeper.domain.swap_detail import V4Key
from keeper.domain.token import VenueKind
from keeper.domain.units import Address
from keeper.replica.addresses import PERMIT2, UNIVERSAL_ROUTER
from tests.contracts.site import WETH, Site, calldata

LOWEST_PRICE, HIGHEST_PRICE = 4295128740, 1461446703485210103287273052203988822378723970341
ROUTER_ITSELF = Address("0x0000000000000000000000000000000000000002")
ITS_CALLER = Address("0x0000000000000000000000000000000000000001")
ALL_IT_HAS = 1 << 255
V3_SWAP_EXACT_IN, V2_SWAP_EXACT_IN, V4_SWAP = 0x00, 0x08, 0x10
V4_SWAP_EXACT_IN, V4_TAKE_ALL = 0x07, 0x0F
NEVER = 2**48 - 1


def multicall_calldata(route: Route, contract: Address, min_profit: int) -> bytes:
    """One call for each pool, in the order of the route; pools deliver to a following V2 pool directly."""
    payloads = []
    for position, hop in enumerate(route.hops):
        following = route.hops[position + 1] if position + 1 < len(route.hops) else None
        to = following.pool if following is not None and following.venue is VenueKind.UNISWAP_V2 else contract
        if hop.venue is VenueKind.UNISWAP_V2:
            amounts = (0, hop.amount_out) if hop.zero_for_one else (hop.amount_out, 0)
            payloads.append(calldata("swap(uint256,uint256,address,bytes)", *amounts, to, b""))
        else:
            limit = LOWEST_PRICE if hop.zero_for_one else HIGHEST_PRICE
            token = encode(["address"], [hop.token_in])
            signature = "swap(address,bool,int256,uint160,bytes)"
            payloads.append(calldata(signature, to, hop.zero_for_one, hop.amount_in, limit, token))
    paid = route.amount_in if route.hops[0].venue is VenueKind.UNISWAP_V2 else 0
    targets = [hop.pool for hop in route.hops]
    return calldata("trade(uint256,uint256,address[],bytes[])", paid, min_profit, targets, payloads)


def router_calldata(route: Route, min_profit: int) -> bytes:
    """One command for each hop: the caller pays the first pool, and is paid by the last."""
    commands, inputs = bytearray(), []
    for position, hop in enumerate(route.hops):
        following = route.hops[position + 1] if position + 1 < len(route.hops) else None
        before = route.hops[position - 1] if position else None
        if following is None:
            to, least = ITS_CALLER, route.amount_in + min_profit
        else:
            to, least = following.pool if following.venue is VenueKind.UNISWAP_V2 else ROUTER_ITSELF, 0
        in_the_pool = before is not None and hop.venue is VenueKind.UNISWAP_V2
        amount = hop.amount_in if before is None else 0 if in_the_pool else ALL_IT_HAS
        path: object = [hop.token_in, hop.token_out]
        if hop.venue is VenueKind.UNISWAP_V3:
            path = bytes.fromhex(hop.token_in[2:]) + hop.fee_pips.to_bytes(3, "big") + bytes.fromhex(hop.token_out[2:])
        kind = "bytes" if hop.venue is VenueKind.UNISWAP_V3 else "address[]"
        commands.append(V3_SWAP_EXACT_IN if hop.venue is VenueKind.UNISWAP_V3 else V2_SWAP_EXACT_IN)
        inputs.append(
            encode(["address", "uint256", "uint256", kind, "bool"], [to, amount, least, path, before is None])
        )
    return calldata("execute(bytes,bytes[],uint256)", bytes(commands), inputs, NEVER)


def allow_router(site: Site, owner: Address) -> None:
    """Let the router take WETH of ``owner``."""
    site.must(owner, WETH, calldata("approve(address,uint256)", PERMIT2, 2**256 - 1))
    signature = "approve(address,address,uint160,uint48)"
    site.must(owner, PERMIT2, calldata(signature, WETH, UNIVERSAL_ROUTER, 2**160 - 1, NEVER))


def v4_router_calldata(route: Route) -> bytes:
    """The Universal Router's way through V4 pools in a circle: swaps on account, then what is left is taken."""
    path = []
    for hop in route.hops:
        key = hop.detail
        if not isinstance(key, V4Key):
            raise ValueError("The route has V4 pools alone.")
        path.append((hop.token_out, key.fee_pips, key.tick_spacing, key.hooks, b""))
    swap = encode(
        ["(address,(address,uint24,int24,address,bytes)[],uint256[],uint128,uint128)"],
        [(route.token, path, [], route.amount_in, 0)],
    )
    take = encode(["address", "uint256"], [route.token, route.gross_profit])
    actions = bytes((V4_SWAP_EXACT_IN, V4_TAKE_ALL))
    return calldata(
        "execute(bytes,bytes[],uint256)",
        bytes((V4_SWAP,)),
        [encode(["bytes", "bytes[]"], [actions, [swap, take]])],
        NEVER,
    )
