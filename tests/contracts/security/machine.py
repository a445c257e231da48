"""A state machine that attacks one executor in every way that the cast allows, and watches what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from eth_utils import function_signature_to_4byte_selector as selector
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from keeper.domain.token import LenderKind
from keeper.domain.units import Address
from keeper.execution.codec import Loan, Operation, Step, Stream, Swap, decode
from keeper.execution.opcodes import CALLED_BACK, LOANS, SWAPS, Opcode, To
from keeper.execution.operations import step
from tests.contracts.security.cast import (
    ACCOMPLICE,
    AUDITOR,
    FIRST,
    POISONED,
    PUPPETS,
    SECOND,
    Change,
    Line,
    Poison,
    Scene,
    accomplice,
    act,
    answer,
    call,
    delegate,
    load,
    mannered,
    pull,
    silent,
)
from tests.contracts.security.forms import CALLBACKS, FORMS, FUNCTIONS
from tests.contracts.security.generate import COIN, Stock, general_stream, short_operations, spoil
from tests.contracts.security.reached import VIEWS, Reached
from tests.contracts.site import (
    DAI,
    ETHER,
    FOREVER,
    GAS,
    LENDERS,
    OPERATOR,
    STRANGER,
    TREASURY,
    USDC,
    WETH,
    Site,
    calldata,
)

VICTIM = Address("0x" + "0d" * 20)
"""Somebody who once allowed the executor to take everything."""
SOUND = (WETH, USDC, DAI)
OWNERS = ("the executor", "the victim", "the treasury")
HOLDINGS = {WETH: 2 * ETHER, USDC: 5_000 * 10**6, DAI: ETHER}
OUTSIDERS = (STRANGER, FIRST, ACCOMPLICE, WETH, LENDERS[LenderKind.BALANCER_V2], "0x" + "00" * 20)

GIFTS = (*(10**6, 10**15) * 2, HOLDINGS[USDC], HOLDINGS[WETH], 3 * ETHER)
TOKENS = (WETH, WETH, WETH, USDC, DAI, POISONED, FIRST, COIN)
STOCK = Stock(
    pools=(*(FIRST, SECOND) * 20, OPERATOR, WETH),
    tokens=(*TOKENS, *SOUND),
    receivers=(*PUPPETS, OPERATOR),
    amounts=(*(1, 7, 100) * 5, 10**6, HOLDINGS[USDC], ETHER, HOLDINGS[WETH], 2**112 - 1),
)
LOOT = (1, 10**6, HOLDINGS[USDC], HOLDINGS[WETH])
TOUCHES = (0, 0, 0, 1, 1, 2, 3)
SPOILT = [change for change in Change if change not in (Change.NONE, Change.TAIL)]
CALLED = sorted(CALLED_BACK - {Opcode.V4_UNLOCK_ETHEREUM})
"""Whose callback runs what is left; the manager of Ethereum is no puppet."""
PULLING = (Opcode.MORPHO, Opcode.AAVE_V3, Opcode.ERC3156_LOAN)
NAMING = [opcode for opcode in CALLED if None in FORMS[opcode].words]
"""Whose callback names an initiator."""
seeds = st.integers(0, 2**48)
"""Of the details of an attack: thousands of small choices drawn one by one would leave no time for attacks."""

WAYS = (
    "an accomplice calls back",
    "no callback",
    "second callback",
    "late callback",
    "another initiator",
    "repayment not taken",
)


def first_operation(opcode: Opcode, target: Address) -> Operation:
    """One that is called back, for what follows."""
    if opcode in SWAPS:
        to = To.CALLER if opcode is Opcode.UNISWAP_V2_FLASH else To.SELF
        return Swap(opcode, target, False, to, 100)
    return Loan(opcode, target, 100) if opcode in LOANS else Step(opcode, (target,))


def any_stream(chance: Random, token: Address | None = None) -> bytes:
    """What somebody with the operator's key might send."""
    token = token or chance.choice(TOKENS)
    if chance.random() < 0.25:  # nothing but a payment: of the profit token, of a watched one, of neither
        loot = chance.choice((token, *SOUND, COIN))
        payment = step(Opcode.PAY_ADDRESS, token=loot, amount=chance.choice(LOOT), receiver=chance.choice(PUPPETS))
        watched = (loot,) if chance.random() < 0.5 else ()
        stream = Stream(0, FOREVER, None, token, (payment,), 0, watched)
    elif token == WETH and chance.random() < 0.5:
        stream = Stream(0, FOREVER, None, WETH, short_operations(chance, STOCK, chance.choice((1, 1, 2))))
    else:
        stream = general_stream(chance, STOCK, FOREVER, token, chance.choice((1, 1, 2)))
    if chance.random() < 0.06:
        minimum, last_block, prefix = chance.choice(((1, FOREVER, None), (0, 1, None), (0, FOREVER, b"none")))
        stream = replace(stream, min_profit=minimum, last_block=last_block, parent_prefix=prefix)
    data = stream.to_bytes()
    return spoil(chance, data) if chance.random() < 0.05 else data


def any_bytes(chance: Random) -> bytes:
    """What an outsider might send: rubbish, a stream, a function that other contracts have."""
    words = (int(WETH, 16), int(STRANGER, 16), 1, ETHER, 0x40)
    match chance.randint(0, 2):
        case 0:
            return chance.randbytes(chance.randint(0, 80))
        case 1:
            return any_stream(chance)
        case _:
            arguments = (chance.choice(words).to_bytes(32, "big") for _ in range(chance.randint(0, 4)))
            return selector(chance.choice(FUNCTIONS)) + b"".join(arguments)


class Attacks(RuleBasedStateMachine):
    """Every rule is one kind of attack, or an honest trade in between; the invariant is looked at after each.

    A subclass sets ``site``, on which `set_the_stage` was played, ``reached``, and ``trades``: honest streams.
    """

    site: Site
    reached: Reached
    trades: Sequence[bytes]

    @initialize()
    def begin(self) -> None:
        self.snapshot = self.site.rpc("evm_snapshot")
        self.executor = self.site.executor
        self.delegated = False
        self.steps = 0
        self.landed: list[bytes] = []
        self.held, _, _ = self.audit()

    def chance(self, seed: int) -> Random:
        """Another one at each step, as the same seed is often drawn again."""
        self.steps += 1
        return Random(f"{seed} {self.steps}")

    def teardown(self) -> None:
        self.site.rpc("evm_revert", self.snapshot)
        self.site.rpc("anvil_dropAllTransactions")

    # ------------------------------------------------------------------ what must not change

    def audit(self) -> tuple[list[int], int, bool]:
        owners = (self.executor, VICTIM, TREASURY)
        spenders = (*PUPPETS, OPERATOR, STRANGER, *LENDERS.values())
        signature = "audit(address,address[],address[],address[])"
        answers = ["uint256[]", "uint256", "bool"]
        balances, allowed, idle = self.site.read(AUDITOR, signature, answers, self.executor, owners, SOUND, spenders)
        return list(balances), allowed, idle

    @invariant()
    def nothing_was_lost(self) -> None:
        held, allowed, idle = self.audit()
        for position, (before, after) in enumerate(zip(self.held, held, strict=True)):
            owner, token = divmod(position, len(SOUND) + 1)
            assert after >= before, f"{OWNERS[owner]} lost {before - after} of {(*SOUND, 'the coin')[token]}"
        assert allowed == 0, f"{allowed} allowances are left"
        assert idle, "the executor still expects somebody"
        self.held = held

    # ------------------------------------------------------------------ transactions

    def transact(self, sender: str, to: str, data: bytes) -> bool:
        """Mine it, count what it reached, and tell whether it went through."""
        request = {"from": sender, "to": to, "data": "0x" + data.hex(), "gas": hex(GAS)}
        receipt = self.site.rpc("eth_sendTransactionSync", request)
        self.reached.add(self.site.rpc("debug_traceTransaction", receipt["transactionHash"], {"tracer": "callTracer"}))
        assert self.reached.wrong == []
        return bool(receipt["status"] == "0x1")

    def gift(self, touch: int, token: Address, amount: int) -> Line:
        return call(touch, token, calldata("transfer(address,uint256)", self.executor, amount))

    def theft(self, touch: int, token: Address, amount: int) -> Line:
        return call(touch, self.executor, calldata("sweep(address,uint256)", token, amount))

    def begins(self, touch: int, stream: bytes) -> Line:
        """The operator, asked by a puppet, begins a stream in the middle of another."""
        return call(touch, OPERATOR, act([call(0, self.executor, stream)]))

    # ------------------------------------------------------------------ outsiders

    @rule(seed=seeds)
    def an_outsider_calls_back_out_of_the_blue(self, seed: int) -> None:
        chance = self.chance(seed)
        self.reached.attack("callback out of the blue")
        form, sender = chance.choice(CALLBACKS), chance.choice(OUTSIDERS)
        assert not self.transact(sender, self.executor, form.whole(self.executor, self.continuation(chance)))

    @rule(seed=seeds)
    def an_outsider_calls_anything(self, seed: int) -> None:
        chance = self.chance(seed)
        self.reached.attack("any call of an outsider")
        data = any_bytes(chance)
        went_through = self.transact(chance.choice(OUTSIDERS), self.executor, data)
        assert went_through == (data[:4] in VIEWS)

    @rule(seed=seeds)
    def an_outsider_drives_a_lender(self, seed: int) -> None:
        chance = self.chance(seed)
        self.reached.attack("lender or pair driven by an outsider")
        continuation = self.continuation(chance)
        balancer, aave = LENDERS[LenderKind.BALANCER_V2], LENDERS[LenderKind.AAVE_V3]
        many = "flashLoan(address,address[],uint256[],bytes)"
        one = "flashLoanSimple(address,address,uint256,bytes,uint16)"
        pair = Address("0xB4e16d0168e52d35CaCD2c6185b44281Ec28C9Dc")
        to, data = chance.choice(
            (
                (balancer, calldata(many, self.executor, [WETH], [1], continuation)),
                (aave, calldata(one, self.executor, WETH, 1, continuation, 0)),
                (pair, calldata("swap(uint256,uint256,address,bytes)", 0, 1, self.executor, continuation)),
            )
        )
        assert not self.transact(STRANGER, to, data)

    @rule(seed=seeds)
    def somebody_else_withdraws(self, seed: int) -> None:
        chance = self.chance(seed)
        self.reached.attack("withdrawal by another than the treasury")
        sender, token = chance.choice((STRANGER, OPERATOR, FIRST)), chance.choice((*SOUND, COIN))
        data = calldata("sweep(address,uint256)", token, chance.choice(STOCK.amounts))
        assert not self.transact(sender, self.executor, data)

    def continuation(self, chance: Random) -> bytes:
        return chance.choice((b"", bytes.fromhex(chance.choice(TOKENS)[2:]))) + any_stream(chance)[8:]

    # ------------------------------------------------------------------ pools and lenders

    @rule(seed=seeds)
    def a_pool_alters_the_stream(self, seed: int) -> None:
        chance = self.chance(seed)
        self.reached.attack("altered bytes")
        opcode = chance.choice(CALLED)
        assert not self.play_pool(chance, opcode, [answer(0, FORMS[opcode], self.executor, chance.choice(SPOILT))])

    @rule(seed=seeds)
    def a_pool_sends_more_behind_the_stream(self, seed: int) -> None:
        """Which changes nothing: the stream lands."""
        chance = self.chance(seed)
        self.reached.attack("bytes behind the stream")
        opcode = chance.choice(CALLED)
        lines = [answer(0, FORMS[opcode], self.executor, Change.TAIL), pull(0, WETH)]
        assert self.play_pool(chance, opcode, lines, token=WETH)

    @rule(seed=seeds)
    def a_pool_calls_back_in_another_form(self, seed: int) -> None:
        chance = self.chance(seed)
        self.reached.attack("another layout")
        lines = [answer(0, chance.choice(CALLBACKS), self.executor, fatal=False), mannered(0)]
        self.play_pool(chance, chance.choice(CALLED), lines)

    @rule(seed=seeds)
    def a_pool_calls_back_wrongly(self, seed: int) -> None:
        chance = self.chance(seed)
        way = chance.choice(WAYS)
        opcode = chance.choice({"another initiator": NAMING, "repayment not taken": PULLING}.get(way, CALLED))
        self.reached.attack("callback gone wrong", way)
        form = FORMS[opcode]
        lines = {
            "an accomplice calls back": [accomplice(0, form, self.executor)],
            "second callback": [mannered(0), answer(0, form, self.executor, fatal=False)],
            "another initiator": [answer(0, form.of_another(), self.executor)],
            "repayment not taken": [answer(0, form, self.executor)],
        }.get(way, [silent(0)])
        after = []
        if way == "late callback":  # the next pool gives the first one occasion to
            late = form.whole(self.executor, self.continuation(chance))
            after = [call(0, FIRST, calldata("forward(address,bytes)", self.executor, late))]
        through = self.play_pool(chance, opcode, lines, after=after)
        assert not through or way == "second callback"

    @rule(seed=seeds)
    def a_pool_reenters(self, seed: int) -> None:
        """With a stream, a withdrawal and a callback of another's, before and after its own callback."""
        chance = self.chance(seed)
        self.reached.attack("re-entry by a pool")
        callback = chance.choice(CALLBACKS).whole(self.executor, self.continuation(chance))
        tries = [
            call(0, self.executor, any_stream(chance)),
            self.theft(0, chance.choice(SOUND), 1),
            call(0, ACCOMPLICE, calldata("forward(address,bytes)", self.executor, callback)),
        ]
        self.play_pool(chance, chance.choice(CALLED), [*tries, mannered(0), *tries])

    def play_pool(
        self,
        chance: Random,
        opcode: Opcode,
        lines: list[Line],
        *,
        after: Sequence[Line] = (),
        token: Address | None = None,
        min_profit: int = 0,
    ) -> bool:
        """An honest operator's stream through a hostile first pool or lender, and a second pool that pays."""
        token = token or chance.choice((WETH, USDC))
        profit = self.gift(0, token, 1_000)
        load(self.site, Scene(FIRST, [self.gift(0, token, 300), *lines]), Scene(SECOND, [*after, profit]))
        hop = Swap(Opcode.UNISWAP_V2_PAID, SECOND, True, To.SELF, 9, 50)
        stream = Stream(min_profit, FOREVER, None, token, (first_operation(opcode, FIRST), hop))
        return self.transact(OPERATOR, self.executor, stream.to_bytes())

    # ------------------------------------------------------------------ tokens

    @rule(seed=seeds)
    def a_poisoned_token_is_earned(self, seed: int) -> None:
        chance = self.chance(seed)
        poison = chance.choice(list(Poison))
        self.reached.attack("poisoned token", poison.name.lower())
        settings = calldata("set(uint8,address,bool)", poison, self.executor, chance.random() < 0.8)
        self.site.must(STRANGER, POISONED, settings)
        stream = any_stream(chance)
        tries = [call(0, self.executor, stream), self.theft(0, WETH, 1), self.begins(0, stream)]
        least = chance.choice((0, 1, 10**6))
        self.play_pool(chance, chance.choice(CALLED), [*tries, mannered(0)], token=POISONED, min_profit=least)

    # ------------------------------------------------------------------ the operator's key alone

    @rule(seed=seeds)
    def the_key_is_stolen(self, seed: int) -> None:
        """Any stream, with puppets on the way that help in any way."""
        self.reached.attack("stolen key")
        chance = self.chance(seed)
        token = chance.choice(TOKENS)
        self.set_scenes(chance, token)
        self.transact(OPERATOR, self.executor, any_stream(chance, token))

    @rule(seed=seeds)
    def the_key_is_stolen_and_delegated(self, seed: int) -> None:
        """Several streams in one transaction of an account with code, which is asked who its operator is in between."""
        self.reached.attack("stolen key with code")
        chance = self.chance(seed)
        if not self.delegated:
            delegate(self.site)
            self.delegated = True
        token = chance.choice(TOKENS)
        self.set_scenes(chance, token)
        probe = call(0, ACCOMPLICE, calldata("forward(address,bytes)", self.executor, selector("operator()")))
        streams = [any_stream(chance, chance.choice((token, token, None))) for _ in range(3)]
        lines = [line for stream in streams for line in (call(0, self.executor, stream), probe)]
        self.transact(OPERATOR, OPERATOR, act([*lines, self.theft(0, WETH, 1)]))

    def set_scenes(self, chance: Random, token: Address) -> None:
        puppets = (FIRST, SECOND, OPERATOR) if self.delegated else (FIRST, SECOND)
        scenes = []
        for puppet in puppets:
            told, answered = chance.choice((0, 1, 10**30)), int(chance.random() < 0.8)
            scenes.append(Scene(puppet, self.help(chance, token), told, answered))
        load(self.site, *scenes)

    def help(self, chance: Random, token: Address) -> list[Line]:
        lines: list[Line] = []
        for _ in range(chance.randint(1, 4)):
            touch, loot = chance.choice(TOUCHES), chance.choice((token, token, *SOUND))
            form, change = chance.choice(CALLBACKS), chance.choice(list(Change))
            tricks = (
                self.gift(touch, loot, chance.choice(GIFTS)),
                self.gift(touch, token, chance.choice(GIFTS)),
                self.begins(touch, any_stream(chance, loot)),
                pull(touch, loot),
                mannered(touch),
                answer(touch, form, self.executor, change, fatal=False),
            )
            lines.append(chance.choice(tricks))
        return lines

    # ------------------------------------------------------------------ honest trades, and their bytes again

    @rule(seed=seeds)
    def an_honest_trade(self, seed: int) -> None:
        chance = self.chance(seed)
        self.reached.attack("honest trade (no attack)")
        stream = chance.choice(self.trades)
        before = self.held[0]
        if self.transact(OPERATOR, self.executor, stream):
            assert self.audit()[0][0] >= before + decode(stream).min_profit
            self.landed.append(stream)

    @rule(seed=seeds)
    def its_bytes_are_sent_again(self, seed: int) -> None:
        """Alone, out of order, in a later block, by others: nothing is lost, whatever comes of it."""
        chance = self.chance(seed)
        if not self.landed:
            self.an_honest_trade(seed)
        if self.landed:
            self.reached.attack("replay")
            if chance.random() < 0.5:
                self.site.rpc("anvil_mine", "0x1")
            sender = chance.choice((OPERATOR, OPERATOR, STRANGER))
            stream = chance.choice(self.landed)
            if chance.random() < 0.3:  # one that was for an earlier block
                stream = (1).to_bytes(4, "big") + stream[4:]
            through = self.transact(sender, self.executor, stream)
            assert not (through and sender == STRANGER)

    @rule(seed=seeds)
    def the_treasury_withdraws(self, seed: int) -> None:
        chance = self.chance(seed)
        token, part = chance.choice((*SOUND, COIN)), chance.randint(0, 4)
        position = (*SOUND, COIN).index(token)
        amount = self.held[position] * part // 4
        before = self.held[2 * (len(SOUND) + 1) + position]
        assert self.transact(TREASURY, self.executor, calldata("sweep(address,uint256)", token, amount))
        held, _, _ = self.audit()
        spent_on_gas = ETHER if token == COIN else 0
        assert self.held[position] - held[position] == amount
        assert held[2 * (len(SOUND) + 1) + position] - before >= amount - spent_on_gas
        self.held = held
        # what was withdrawn comes back, so that there is something to steal in the steps that follow
        if token == COIN:
            self.site.rpc("anvil_setBalance", self.executor, hex(held[position] + amount))
        else:
            self.site.must(TREASURY, token, calldata("transfer(address,uint256)", self.executor, amount))
        self.held, _, _ = self.audit()


def set_the_stage(site: Site) -> None:
    """Give the executor something to steal, and let a victim allow it everything."""
    for token, amount in HOLDINGS.items():
        for owner in (site.executor, VICTIM):
            site.give(token, owner, amount - site.balance(token, owner))
        site.rpc("anvil_setBalance", VICTIM, hex(ETHER))
        site.must(VICTIM, token, calldata("approve(address,uint256)", site.executor, 2**256 - 1))
    for puppet in (OPERATOR, *PUPPETS):
        for token in SOUND:
            site.give(token, puppet, 1_000 * HOLDINGS[token])
    for outsider in OUTSIDERS:
        site.rpc("anvil_setBalance", outsider, hex(10**7 * ETHER))
    site.rpc("anvil_setBalance", site.executor, hex(ETHER // 2))
    for owner in (site.executor, OPERATOR, *PUPPETS):
        site.must(STRANGER, POISONED, calldata("mint(address,uint256)", owner, ETHER))
