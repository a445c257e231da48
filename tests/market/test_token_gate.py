"""Pools whose tokens do not pass the probe stay out of the book, and the book says why."""

from __future__ import annotations

from dataclasses import replace

from keeper.domain.token_facts import TokenFacts
from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.market.book import Book
from keeper.market.node import Node
from keeper.market.token_gate import refuse_tokens
from keeper.market.token_probe import TokenProbe
from keeper.market.venues import Pool
from tests.market.chain import address, header, v2_pool
from tests.market.every_kind import by_key


class Noting(TokenProbe):
    """Notes what it is asked about; refuses the tokens that it is told to."""

    def __init__(self, node: Node, refused: dict[Address, str]) -> None:
        super().__init__(node, executor=address(1), operator=address(2))
        self.refused = refused
        self.holders: dict[Address, Address] = {}

    async def _probe(self, token: Address, holder: Address, block: object) -> TokenFacts:  # noqa: ARG002
        self.holders[token] = holder
        return TokenFacts(token, 18, 0, False, False, 30_000, False, False, self.refused.get(token))


async def test_a_pool_needs_all_of_its_tokens() -> None:
    good, bad, other = (address(number) for number in (0x10, 0x20, 0x30))
    pools: dict[Address, Pool] = {}
    for number, (token0, token1, depth) in enumerate([(good, bad, 5), (bad, other, 9), (good, other, 7)]):
        pool = replace(v2_pool(100 + number, reserves=(depth, depth)), token0=token0, token1=token1)
        pools[pool.key] = pool
    async with Node("http://127.0.0.1:1") as node:
        probe = Noting(node, {bad: "it takes a fee"})
        kept, refused = await refuse_tokens(probe, pools, header(100))
    assert list(kept) == [address(102)]
    assert refused == {address(number): f"token {bad}: it takes a fee" for number in (100, 101)}
    assert probe.holders == {good: address(102), bad: address(101), other: address(101)}, "the deepest pool of each"
    book = Book(kept, {}, header(100))
    book.refuse(refused)
    assert dict(book.quarantined) == refused
    assert list(book.pools) == [address(102)]


async def test_the_tokens_of_every_kind_of_pool_are_probed_where_they_are_held() -> None:
    pools = by_key()
    async with Node("http://127.0.0.1:1") as node:
        probe = Noting(node, {})
        kept, refused = await refuse_tokens(probe, pools, header(100))
    assert (kept, refused) == (pools, {})
    assert ZERO_ADDRESS not in probe.holders
    places = {pool.address if pool.holder is None else pool.holder[0] for pool in pools.values()}
    assert set(probe.holders.values()) <= places
