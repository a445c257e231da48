"""Attempts on the adapter, each with the answer it has to get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from keeper.domain.token import LenderKind
from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.execution.adapter import Step, StepKind, set_mandate_calldata, swap_calldata, sweep_calldata
from tests.contracts.adapter_site import AAVE, BALANCER, USER, AdapterSite, stand_in
from tests.contracts.adapter_stage import (
    BOUNDS,
    BUYER,
    COLLATERAL,
    DEBT,
    FEE,
    LENDER,
    LLTV,
    OTHER_TOKEN,
    PROTOCOL,
    SELL,
    SELLER,
    THIEF,
    Coin,
    Mode,
    agree,
    callbacks,
    closing,
    fill,
    let_move,
    liquidation,
    mint_as,
    morpho_liquidation,
    opening,
    play,
    position,
)
from tests.contracts.site import ETHER, OPERATOR, STRANGER, TREASURY, WETH, calldata


def flows() -> list[tuple[Address, bytes]]:
    """Whoever calls back, and a job in which it does."""
    loans = (LenderKind.MORPHO, LenderKind.BALANCER_V2, LenderKind.AAVE_V3)
    return [
        (SELLER, liquidation().calldata()),
        *((LENDER, liquidation(kind).calldata()) for kind in loans),
        (PROTOCOL, morpho_liquidation().calldata()),
        (PROTOCOL, fill().calldata()),
    ]


def answers(site: AdapterSite, mode: Mode) -> str:
    """What the adapter says when each of those who call back plays ``mode``."""
    found = set()
    for who, data in flows():
        play(site, who, mode)
        found.add(site.run(data).error)
        play(site, who, Mode.HONEST)
    return " or ".join(sorted(found))


# ---------------------------------------------------------------------- callbacks


def altered_data(site: AdapterSite) -> str:
    return answers(site, Mode.ALTERED)


def extended_data(site: AdapterSite) -> str:
    return answers(site, Mode.EXTENDED)


def callback_by_an_accomplice(site: AdapterSite) -> str:
    return answers(site, Mode.ACCOMPLICE)


def second_callback(site: AdapterSite) -> str:
    return answers(site, Mode.TWICE)


def no_callback(site: AdapterSite) -> str:
    return answers(site, Mode.SILENT)


def another_callback(site: AdapterSite) -> str:
    """A pool that calls back as a lender would, with the bytes that it was given."""
    play(site, SELLER, Mode.OTHERWISE)
    return site.run(liquidation().calldata()).error


def loan_of_another(site: AdapterSite) -> str:
    play(site, LENDER, Mode.FOREIGN)
    return site.run(liquidation(LenderKind.AAVE_V3).calldata()).error


def callbacks_out_of_the_blue(site: AdapterSite) -> str:
    """Every callback, by strangers and by those who are expected at other times."""
    found = {site.run(data, sender).error for data in callbacks() for sender in (STRANGER, OPERATOR, SELLER, AAVE)}
    return " or ".join(sorted(found))


def lender_driven_by_a_stranger(site: AdapterSite) -> str:
    """Real lenders hand whatever a third party sends to whomever it names."""
    data = bytes.fromhex(WETH[2:]) + (1).to_bytes(32, "big") + b"\x01" + liquidation().calldata()[4:]
    balancer_loan = "flashLoan(address,address[],uint256[],bytes)"
    aave_loan = "flashLoanSimple(address,address,uint256,bytes,uint16)"
    found = {
        site.call(STRANGER, BALANCER, calldata(balancer_loan, site.adapter, [WETH], [1], data)).error,
        site.call(STRANGER, AAVE, calldata(aave_loan, site.adapter, WETH, 1, data, 0)).error,
    }
    return " or ".join(sorted(found))


def reentrant_token(site: AdapterSite) -> str:
    """A token that is sold tries everything while it moves, the theft of itself first: how much went through."""
    theft = swap_calldata(COLLATERAL, (Step(StepKind.V3, BUYER, 0, OTHER_TOKEN),), 0, THIEF)
    attempts = [theft, liquidation().calldata(), opening(site).open_calldata(), sweep_calldata(COLLATERAL, 1)]
    for attempt in [*attempts, *callbacks()]:
        site.must(STRANGER, COLLATERAL, calldata("prepare(address,bytes)", site.adapter, attempt))
    mint_as(site, COLLATERAL, Coin.HOOKED)
    if not site.send(OPERATOR, site.adapter, fill().calldata()).ok:
        return "the fill itself failed"
    assert site.read(COLLATERAL, "reached()", ["uint256"]) >= len(attempts), "the token was never asked"
    return f"{site.read(COLLATERAL, 'succeeded()', ['uint256'])} went through"


def treasury_called_meanwhile(site: AdapterSite) -> str:
    """Somebody who can make the treasury act does so in the middle of a call."""
    site.rpc("anvil_setCode", TREASURY, "0x" + stand_in("AdapterStage").runtime.hex())
    wide = set_mandate_calldata(position(site), replace(BOUNDS, loss_budget=10**30))
    let_move(site, SELLER, TREASURY, calldata("forward(address,bytes)", site.adapter, wide))
    return site.run(liquidation().calldata()).error


def two_calls_in_one_transaction(site: AdapterSite) -> str:
    """Nothing is left of the first one when the second begins."""
    mint = calldata("mint(address,uint256)", site.adapter, ETHER)
    sale = swap_calldata(COLLATERAL, SELL, ETHER, USER)
    calls = [(COLLATERAL, mint), (site.adapter, sale)] * 2
    targets, data = zip(*calls, strict=True)
    site.must(STRANGER, THIEF, calldata("perform(address[],bytes[])", list(targets), list(data)))
    return f"{site.read(THIEF, 'succeeded()', ['uint256'])} of 4"


# ---------------------------------------------------------------------- roles


def jobs(site: AdapterSite) -> list[bytes]:
    found = [liquidation().calldata(), morpho_liquidation().calldata(), fill().calldata()]
    return [*found, opening(site).open_calldata(), closing(site).close_calldata()]


def jobs_of_strangers(site: AdapterSite) -> str:
    senders = (STRANGER, TREASURY, SELLER)
    return " or ".join(sorted({site.run(data, sender).error for data in jobs(site) for sender in senders}))


def late_jobs(site: AdapterSite) -> str:
    late = [
        replace(liquidation(), last_block=1).calldata(),
        replace(morpho_liquidation(), last_block=1).calldata(),
        replace(fill(), last_block=1).calldata(),
        replace(opening(site), last_block=1).open_calldata(),
        replace(closing(site), last_block=1).close_calldata(),
    ]
    return " or ".join(sorted({site.run(data).error for data in late}))


def treasury_played_by_others(site: AdapterSite) -> str:
    site.must(STRANGER, DEBT, calldata("mint(address,uint256)", site.adapter, ETHER))
    calls = [set_mandate_calldata(position(site), BOUNDS), sweep_calldata(DEBT, ETHER)]
    return " or ".join(sorted({site.run(data, sender).error for data in calls for sender in (OPERATOR, STRANGER)}))


def coins_of_a_stranger(site: AdapterSite) -> str:
    return "accepted" if site.send(STRANGER, site.adapter, b"", 1).ok else "refused"


def too_little_profit(site: AdapterSite) -> str:
    dear = [
        replace(liquidation(), min_profit=30 * ETHER + 1).calldata(),
        replace(morpho_liquidation(), min_profit=30 * ETHER + 1).calldata(),
        replace(fill(), min_profit=30 * ETHER + 1).calldata(),
    ]
    return " or ".join(sorted({site.run(data).error for data in dear}))


def too_little_output(site: AdapterSite) -> str:
    site.must(STRANGER, COLLATERAL, calldata("mint(address,uint256)", site.adapter, ETHER))
    return site.run(swap_calldata(COLLATERAL, SELL, 130 * ETHER + 1, USER), STRANGER).error


# ---------------------------------------------------------------------- tokens and allowances


def token_that_refuses(site: AdapterSite) -> str:
    """It is minted to the pool, so that only the adapter's own transfer is refused."""
    site.must(STRANGER, COLLATERAL, calldata("mint(address,uint256)", site.adapter, ETHER))
    mint_as(site, COLLATERAL, Coin.REFUSING)
    return site.run(swap_calldata(COLLATERAL, SELL, 0, USER), STRANGER).error


def tax_on_the_way_to_the_treasury(site: AdapterSite) -> str:
    """A token that keeps a tenth of each transfer: 17 are sent to the treasury, and less arrives."""
    mint_as(site, DEBT, Coin.TAXED)
    return site.run(replace(morpho_liquidation(), min_profit=17 * ETHER).calldata()).error


def _sticky(site: AdapterSite, token: Address, data: bytes) -> str:
    mint_as(site, token, Coin.STICKY)
    return site.run(data).error


def allowance_left_to_a_lender(site: AdapterSite) -> str:
    play(site, LENDER, Mode.LAX)
    kinds = (LenderKind.MORPHO, LenderKind.AAVE_V3)
    return " or ".join(sorted({site.run(liquidation(kind).calldata()).error for kind in kinds}))


def allowance_left_to_morpho(site: AdapterSite) -> str:
    return _sticky(site, DEBT, morpho_liquidation().calldata())


def allowance_left_to_a_reactor(site: AdapterSite) -> str:
    return _sticky(site, DEBT, fill().calldata())


def allowance_left_by_a_supply(site: AdapterSite) -> str:
    return _sticky(site, COLLATERAL, opening(site, LenderKind.BALANCER_V2).open_calldata())


def allowance_left_by_a_repayment(site: AdapterSite) -> str:
    site.must(OPERATOR, site.adapter, opening(site).open_calldata())
    return _sticky(site, DEBT, closing(site, LenderKind.BALANCER_V2).close_calldata())


def allowance_that_a_liquidation_does_not_need(site: AdapterSite) -> str:
    play(site, PROTOCOL, Mode.LAX)
    site.must(OPERATOR, site.adapter, liquidation(LenderKind.BALANCER_V2).calldata())
    return f"{site.allowance(DEBT, PROTOCOL)} left"


# ---------------------------------------------------------------------- routes and loans


def pool_that_asks_for_more(site: AdapterSite) -> str:
    play(site, SELLER, Mode.GREEDY)
    return site.run(liquidation().calldata()).error


def pool_that_asks_for_less(site: AdapterSite) -> str:
    play(site, SELLER, Mode.SHORT)
    return site.run(liquidation().calldata()).error


def _raw_swap(site: AdapterSite, route: bytes, to: Address = USER) -> str:
    site.must(STRANGER, COLLATERAL, calldata("mint(address,uint256)", site.adapter, ETHER))
    return site.run(calldata("swap(address,bytes,uint256,address)", COLLATERAL, route, 0, to), STRANGER).error


def unknown_step(site: AdapterSite) -> str:
    return _raw_swap(site, b"\x03" + SELL[0].to_bytes()[1:])


def broken_step(site: AdapterSite) -> str:
    """A step and the end of a second one, which would tell another token to measure."""
    return _raw_swap(site, SELL[0].to_bytes() + bytes.fromhex(OTHER_TOKEN[2:]))


def delivery_to_the_adapter(site: AdapterSite) -> str:
    return _raw_swap(site, SELL[0].to_bytes(), site.adapter)


def route_to_another_token(site: AdapterSite) -> str:
    wrong = (Step(StepKind.V3, SELLER, 0, OTHER_TOKEN),)
    routes = [
        replace(liquidation(LenderKind.MORPHO), route=wrong).calldata(),
        replace(morpho_liquidation(), route=wrong).calldata(),
        replace(fill(), route=wrong).calldata(),
        replace(opening(site), route=wrong).open_calldata(),
    ]
    return " or ".join(sorted({site.run(data).error for data in routes}))


def _word(data: bytes) -> int:
    """The second argument of a call."""
    return int.from_bytes(data[36:68], "big")


def repayment(site: AdapterSite) -> str:
    """What is paid to a lender that charges a fee and lies about what it lent."""
    play(site, LENDER, Mode.INFLATED, fee=FEE)
    found = []
    for kind in (LenderKind.MORPHO, LenderKind.BALANCER_V2, LenderKind.AAVE_V3):
        to_lender = bytes(12) + bytes.fromhex(LENDER[2:])
        calls = site.calls(OPERATOR, liquidation(kind).calldata())
        amounts = [_word(data) - 100 * ETHER for _, data in calls if data[4:36] == to_lender and len(data) == 68]
        found.append(f"{kind.value} {amounts}")
    return ", ".join(found)


# ---------------------------------------------------------------------- fills


def order_that_pays_another_token(site: AdapterSite) -> str:
    agree(site, PROTOCOL, OTHER_TOKEN, 50, DEBT, 100)
    site.must(STRANGER, COLLATERAL, calldata("mint(address,uint256)", site.adapter, ETHER))
    return site.run(fill().calldata()).error


def order_that_wants_another_token(site: AdapterSite) -> str:
    agree(site, PROTOCOL, COLLATERAL, 50, OTHER_TOKEN, 0)
    return site.run(fill().calldata()).error


def order_that_wants_more(site: AdapterSite) -> str:
    agree(site, PROTOCOL, COLLATERAL, 50, DEBT, 101)
    return site.run(fill().calldata()).error


def reactor_that_refuses_coins(site: AdapterSite) -> str:
    agree(site, PROTOCOL, COLLATERAL, 50, ZERO_ADDRESS, 100)
    play(site, PROTOCOL, Mode.SHORT)
    return site.run(fill().calldata()).error


def approval_of_an_order(site: AdapterSite) -> str:
    """What a reactor may take, all told."""
    to_reactor = bytes(12) + bytes.fromhex(PROTOCOL[2:])
    calls = site.calls(OPERATOR, fill().calldata())
    amounts = [_word(data) // ETHER for _, data in calls if data[4:36] == to_reactor and len(data) == 68]
    return f"{amounts}"


# ---------------------------------------------------------------------- a stolen operator key


def position_without_a_mandate(site: AdapterSite) -> str:
    other = replace(position(site), lltv=LLTV + 1)
    foreign = replace(position(site), protocol=PROTOCOL)
    found = {site.run(replace(opening(site), position=which).open_calldata()).error for which in (other, foreign)}
    return " or ".join(sorted(found))


def pool_of_the_thief(site: AdapterSite) -> str:
    """What is bought is worth 40 less than what is owed for it."""
    agree(site, BUYER, COLLATERAL, 60, ZERO_ADDRESS, 0)
    return site.run(opening(site).open_calldata()).error


def pool_of_the_thief_at_the_close(site: AdapterSite) -> str:
    site.must(OPERATOR, site.adapter, opening(site).open_calldata())
    agree(site, SELLER, DEBT, 60, ZERO_ADDRESS, 0)
    return site.run(closing(site).close_calldata()).error


def lender_of_the_thief(site: AdapterSite) -> str:
    play(site, LENDER, Mode.HONEST, fee=40 * ETHER)
    return site.run(opening(site, LenderKind.BALANCER_V2).open_calldata()).error


def loss_beyond_the_limit_of_the_call(site: AdapterSite) -> str:
    return site.run(replace(opening(site), max_loss=5 * ETHER - 1).open_calldata()).error


def budget_used_up(site: AdapterSite) -> str:
    """Five are lost each time, of twenty."""
    made = 0
    while made < 6 and site.send(OPERATOR, site.adapter, opening(site).open_calldata()).ok:
        made += 1
    return f"{made} made"


def more_debt_than_allowed(site: AdapterSite) -> str:
    small = replace(BOUNDS, max_debt=100 * ETHER - 1)
    site.must(TREASURY, site.adapter, set_mandate_calldata(position(site), small))
    return site.run(opening(site).open_calldata()).error


def too_close_to_liquidation(site: AdapterSite) -> str:
    site.must(TREASURY, site.adapter, set_mandate_calldata(position(site), replace(BOUNDS, min_health=10 * ETHER)))
    return site.run(opening(site).open_calldata()).error


def price_moved_meanwhile(site: AdapterSite) -> str:
    """The market's oracle says three times as much once the thief's pool was called."""
    agree(site, BUYER, COLLATERAL, 60, ZERO_ADDRESS, 0)
    let_move(site, BUYER, site.market.oracle, calldata("set(uint256,uint256)", 3 * 10**36, 0))
    return site.run(opening(site).open_calldata()).error


def treasury_paid_meanwhile(site: AdapterSite) -> str:
    """Money that is the treasury's anyhow, such as a claim that anybody may make for it, does not make good a loss."""
    agree(site, BUYER, COLLATERAL, 60, ZERO_ADDRESS, 0)
    let_move(site, BUYER, DEBT, calldata("mint(address,uint256)", TREASURY, 1_000 * ETHER))
    return site.run(opening(site).open_calldata()).error


@dataclass(frozen=True)
class Attempt:
    """``answer`` is what the adapter has to say; each of ``mutants`` says something else."""

    act: Callable[[AdapterSite], str]
    answer: str
    mutants: tuple[str, ...]


ATTEMPTS = [
    Attempt(altered_data, "Unauthorized", ("bytes_unchecked",)),
    Attempt(extended_data, "Unauthorized", ("bytes_unchecked",)),
    Attempt(callback_by_an_accomplice, "Unauthorized", ("caller_unchecked",)),
    Attempt(second_callback, "Unauthorized", ("commitment_kept",)),
    Attempt(no_callback, "CallbackMissing", ("silence_unchecked",)),
    Attempt(another_callback, "Unauthorized", ("purpose_unchecked",)),
    Attempt(loan_of_another, "WrongInitiator", ("initiator_unchecked",)),
    Attempt(callbacks_out_of_the_blue, "Unauthorized", ("callback_open",)),
    Attempt(lender_driven_by_a_stranger, "Unauthorized", ("callback_open",)),
    Attempt(reentrant_token, "0 went through", ("sessions_nested",)),
    Attempt(treasury_called_meanwhile, "Busy", ("mandate_changed_meanwhile",)),
    Attempt(two_calls_in_one_transaction, "4 of 4", ("session_left_open",)),
    Attempt(jobs_of_strangers, "Unauthorized", ("operator_unchecked",)),
    Attempt(late_jobs, "Expired", ("block_unchecked",)),
    Attempt(treasury_played_by_others, "Unauthorized", ("treasury_unchecked",)),
    Attempt(coins_of_a_stranger, "refused", ("coins_from_anybody",)),
    Attempt(too_little_profit, "OutputTooSmall", ("output_unchecked",)),
    Attempt(too_little_output, "OutputTooSmall", ("output_unchecked",)),
    Attempt(token_that_refuses, "TokenFailed", ("token_answer_unchecked",)),
    Attempt(tax_on_the_way_to_the_treasury, "OutputTooSmall", ("delivery_believed",)),
    Attempt(allowance_left_to_a_lender, "AllowanceLeft", ("loan_allowance_unchecked",)),
    Attempt(allowance_left_to_morpho, "AllowanceLeft", ("liquidation_allowance_unchecked",)),
    Attempt(allowance_left_to_a_reactor, "AllowanceLeft", ("fill_allowance_unchecked",)),
    Attempt(allowance_left_by_a_supply, "AllowanceLeft", ("supply_allowance_unchecked",)),
    Attempt(allowance_left_by_a_repayment, "AllowanceLeft", ("repay_allowance_unchecked",)),
    Attempt(allowance_that_a_liquidation_does_not_need, "0 left", ("offer_not_taken_back",)),
    Attempt(pool_that_asks_for_more, "PartialFill", ("asked_amount_unchecked",)),
    Attempt(pool_that_asks_for_less, "PartialFill", ("asked_amount_unchecked",)),
    Attempt(unknown_step, "BadRoute", ("step_unchecked",)),
    Attempt(broken_step, "BadRoute", ("whole_steps_unchecked",)),
    Attempt(delivery_to_the_adapter, "BadRoute", ("delivery_to_itself",)),
    Attempt(route_to_another_token, "BadRoute", ("last_token_unchecked",)),
    Attempt(
        repayment,
        "morpho [0], balancer_v2 [5], aave_v3 [5]",
        ("lender_believed", "balancer_fee_unpaid", "aave_premium_unpaid"),
    ),
    Attempt(order_that_pays_another_token, "UnexpectedOrder", ("order_input_unchecked",)),
    Attempt(order_that_wants_another_token, "UnexpectedOrder", ("order_output_unchecked",)),
    Attempt(order_that_wants_more, "UnexpectedOrder", ("order_sum_unchecked",)),
    Attempt(reactor_that_refuses_coins, "TokenFailed", ("coins_refused_unchecked",)),
    Attempt(approval_of_an_order, "[100]", ("approval_without_end",)),
    Attempt(position_without_a_mandate, "NoMandate", ("mandate_unchecked",)),
    Attempt(pool_of_the_thief, "LossTooLarge", ("loss_unchecked", "budget_ignored")),
    Attempt(pool_of_the_thief_at_the_close, "LossTooLarge", ("loss_unchecked", "budget_ignored")),
    Attempt(lender_of_the_thief, "LossTooLarge", ("loss_unchecked", "budget_ignored")),
    Attempt(loss_beyond_the_limit_of_the_call, "LossTooLarge", ("loss_unchecked", "limit_of_the_operator_ignored")),
    Attempt(budget_used_up, "4 made", ("budget_kept",)),
    Attempt(more_debt_than_allowed, "DebtTooLarge", ("debt_unchecked",)),
    Attempt(too_close_to_liquidation, "HealthTooLow", ("health_unchecked",)),
    Attempt(price_moved_meanwhile, "LossTooLarge", ("later_price",)),
    Attempt(treasury_paid_meanwhile, "LossTooLarge", ("wallet_believed",)),
]
