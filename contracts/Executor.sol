// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Roles} from "./Roles.sol";
import {AaveV3} from "./lenders/AaveV3.sol";
import {BalancerV2} from "./lenders/BalancerV2.sol";
import {Morpho} from "./lenders/Morpho.sol";
import {Loan} from "./lenders/Loan.sol";
import {Continuation, HASH_MASK, SLOT} from "./libraries/Continuation.sol";
import {BUFFER} from "./libraries/Memory.sol";
import "./libraries/Opcodes.sol";
import {Token} from "./libraries/Token.sol";
import {UniswapV2} from "./venues/UniswapV2.sol";
import {HIGHEST_PRICE, LOWEST_PRICE} from "./venues/UniswapV3.sol";

/// @title Runs operator streams: see `IExecutor` for their form and for the functions that are served beside them
/// @notice Everything enters through the fallback function, streams and callbacks first: a table of functions before it
/// would cost each of them gas. Nothing is kept between transactions but what was earned.
contract Executor is Roles {
    constructor(address operator, address treasury) Roles(operator, treasury) {}

    /// @dev The frames of swaps run in assembly from end to end; only loans, which cost far more than that saves, leave it.
    ///
    ///     the operator:    begin: guards, balance
    ///     anybody else:    nothing is expected: serve; otherwise resume: authenticate caller and bytes
    ///     both:            token; run the operations
    ///     the operator:    finish: nothing is expected, the balance has grown enough
    ///     a lender:        repay
    fallback() external payable {
        uint256 at; // position in the calldata
        uint256 end; // behind the last operation
        uint256 tag; // how the frame was entered, number of the profit token
        uint256 token; // the profit token
        uint256 start; // its balance before the first operation; in a loan, the position of its own operation
        if (msg.sender == OPERATOR) {
            // minProfit(16) | hasParent(1 bit) token(3 bits) lastBlock(28 bits) | [parent(4)] | [token(20)] | op...
            //
            //     the common case in one comparison: no parent, token 1, block.number <= lastBlock, an operation
            uint256 special;
            assembly ("memory-safe") {
                at := 20
                end := calldatasize()
                tag := TOKEN_ETHEREUM
                token := ETHEREUM_WETH
                let lastBlock := sub(and(shr(96, calldataload(0)), 0xffffffff), 0x10000000)
                special := or(or(gt(number(), lastBlock), shr(28, lastBlock)), lt(end, 21))
            }
            if (special != 0) (at, tag, token) = _readHeader();
            start = Token.balance(token);
        } else {
            uint256 committed = Continuation.expected();
            if (committed == 0) {
                _serve();
                return;
            }
            if (committed >> 96 != uint160(msg.sender)) revert Unauthorized();
            (at, end) = Continuation.open(committed);
            assembly ("memory-safe") {
                tag := and(committed, 0xff)
                token := ETHEREUM_WETH
            }
            if (tag & (TOKEN_MASK | LAYOUT_MASK) != TOKEN_ETHEREUM | LAYOUT_V3) {
                if (tag & TOKEN_MASK != TOKEN_ETHEREUM) (at, token) = _readToken(tag, at);
                uint256 kind = tag & LAYOUT_MASK;
                if (kind == LAYOUT_V2) {
                    UniswapV2.requireInitiator();
                } else if (kind != LAYOUT_V3) {
                    if (kind == LAYOUT_AAVE_V3) AaveV3.requireInitiator();
                    start = at;
                    unchecked {
                        at += TARGET_WIDTH; // the loan's own operation comes first
                    }
                }
            }
        }
        assembly ("memory-safe") {
            // Revert with an error that has no arguments.
            function fail(selector) {
                mstore(0x00, selector)
                revert(0x1c, 0x04)
            }

            // Revert with what the callee reverted with.
            function passOn() {
                returndatacopy(BUFFER, 0x00, returndatasize())
                revert(BUFFER, returndatasize())
            }

            // token.transfer(to, amount)
            //
            //     require call succeeded and (returned true or returned nothing)
            function pay(token_, to_, amount_) {
                mstore(BUFFER, 0xa9059cbb) // transfer(address,uint256)
                mstore(add(BUFFER, 0x20), to_)
                mstore(add(BUFFER, 0x40), amount_)
                mstore(0x00, 0)
                let ok := call(gas(), token_, 0, add(BUFFER, 0x1c), 0x44, 0x00, 0x20)
                if iszero(and(ok, or(eq(mload(0x00), 1), iszero(returndatasize())))) {
                    if iszero(ok) { passOn() }
                    fail(0x8e20b1f9) // TokenFailed()
                }
            }

            // Copy calldata[from : end] behind [token] to memory[destination], and let `target` call back once with it.
            //
            //     transient[SLOT] = target << 96 | (keccak(continuation) & HASH_MASK) | tag
            function expect(target, destination, token_, tag_, from, end_) -> length {
                length := sub(end_, from)
                switch and(tag_, TOKEN_MASK)
                case 0 {
                    mstore(destination, shl(96, token_))
                    calldatacopy(add(destination, ADDRESS_WIDTH), from, length)
                    length := add(length, ADDRESS_WIDTH)
                }
                default { calldatacopy(destination, from, length) }
                tstore(SLOT, or(shl(96, target), or(and(keccak256(destination, length), HASH_MASK), tag_)))
            }

            // The pool of the swap at `at_`, to which the operation before it delivers.
            function nextPool(at_, end_) -> pool {
                let head := byte(0, calldataload(at_))
                pool := shr(96, calldataload(add(at_, HEAD_WIDTH)))
                let isSwap := lt(sub(head, FIRST_SWAP_HEAD), SWAP_HEADS)
                if or(gt(add(at_, OPERAND_AT), end_), iszero(isSwap)) { fail(0x886e31df) } // BadStream()
            }

            for {} lt(at, end) {} {
                let pool := calldataload(at)
                let head := byte(0, pool)
                pool := shr(88, pool) // below the head, of which a call takes no notice
                let amount := shr(144, calldataload(add(at, OPERAND_AT)))
                at := add(at, TARGET_WIDTH)
                let to := address()

                if eq(and(head, KIND_MASK), FIRST_SWAP_HEAD) {
                    // UNISWAP_V2, UNISWAP_V2_PAID: pool(20) [to(20)] amountOut(14) [amountIn(14)]
                    //
                    //     to = this, the pool of the next swap, the caller or calldata address
                    //     require the operation lies within the stream, and that a caller is only named in a callback
                    //     if paid: token.transfer(pool, amountIn)
                    //     memory = swap.selector | 0 | 0 | to | 0x80 | 0
                    //     memory.amount[direction]Out = amountOut
                    //     call the pool, pass on its revert data
                    let bad := 0
                    let next := 0
                    if and(head, TO_MASK) {
                        switch and(head, TO_MASK)
                        case 2 {
                            to := caller() // TO_CALLER
                            bad := iszero(and(tag, LAYOUT_MASK))
                        }
                        case 1 { next := 1 } // TO_NEXT
                        default {
                            // TO_EXPLICIT
                            to := shr(96, calldataload(sub(at, AMOUNT_WIDTH)))
                            at := add(at, ADDRESS_WIDTH)
                            amount := shr(144, calldataload(sub(at, AMOUNT_WIDTH)))
                        }
                    }
                    switch and(head, PAID)
                    case 0 {
                        if or(bad, gt(at, end)) { fail(0x886e31df) } // BadStream()
                    }
                    default {
                        at := add(at, AMOUNT_WIDTH)
                        if or(bad, gt(at, end)) { fail(0x886e31df) } // paid: BadStream()
                        pay(token, shr(96, shl(96, pool)), shr(144, calldataload(sub(at, AMOUNT_WIDTH))))
                    }
                    if next { to := nextPool(at, end) }
                    mstore(BUFFER, 0x022c0d9f) // swap(uint256,uint256,address,bytes)
                    mstore(add(BUFFER, 0x20), 0)
                    mstore(add(BUFFER, 0x40), 0)
                    mstore(add(add(BUFFER, 0x20), and(shl(3, head), 0x20)), amount)
                    mstore(add(BUFFER, 0x60), to)
                    mstore(add(BUFFER, 0x80), 0x80)
                    mstore(add(BUFFER, 0xa0), 0)
                    if iszero(call(gas(), pool, 0, add(BUFFER, 0x1c), 0xa4, 0x00, 0x00)) { passOn() }
                    continue
                }

                if eq(and(head, KIND_MASK), FIRST_V3_HEAD) {
                    // UNISWAP_V3, UNISWAP_V3_PAID: pool(20) amountIn(14)
                    //
                    //     to = this, the pool of the next swap, or the caller
                    //     memory = swap.selector | to | zeroForOne | amountIn | price limit | 0xa0 | length | continuation
                    //     expect the pool to call back with the continuation
                    //     call the pool, pass on its revert data
                    let bad := gt(at, end)
                    if and(head, TO_MASK) {
                        switch and(head, TO_MASK)
                        case 2 {
                            to := caller() // TO_CALLER
                            bad := or(bad, iszero(and(tag, LAYOUT_MASK)))
                        }
                        case 1 { to := nextPool(at, end) } // TO_NEXT
                        default { bad := 1 }
                    }
                    if bad { fail(0x886e31df) } // BadStream()
                    let zeroForOne := and(shr(2, head), 1)
                    mstore(BUFFER, 0x128acb08) // swap(address,bool,int256,uint160,bytes)
                    mstore(add(BUFFER, 0x20), to)
                    mstore(add(BUFFER, 0x40), zeroForOne)
                    mstore(add(BUFFER, 0x60), amount)
                    mstore(add(BUFFER, 0x80), xor(HIGHEST_PRICE, mul(zeroForOne, xor(HIGHEST_PRICE, LOWEST_PRICE))))
                    mstore(add(BUFFER, 0xa0), 0xa0)
                    let layout := or(or(and(tag, TOKEN_MASK), LAYOUT_V3), and(shl(1, head), PAYS))
                    let length := expect(pool, add(BUFFER, 0xe0), token, layout, at, end)
                    mstore(add(BUFFER, 0xc0), length)
                    if iszero(call(gas(), pool, 0, add(BUFFER, 0x1c), add(0xc4, length), 0x00, 0x00)) { passOn() }
                    at := end
                    break
                }

                if eq(and(head, not(ZERO_FOR_ONE)), FLASH_HEAD) {
                    // UNISWAP_V2_FLASH: pool(20) amountOut(14). A pair calls back the receiver of its output.
                    //
                    //     memory = swap.selector | 0 | 0 | this | 0x80 | length | continuation
                    //     memory.amount[direction]Out = amountOut
                    //     expect the pool to call back with the continuation
                    //     call the pool, pass on its revert data
                    if gt(at, end) { fail(0x886e31df) } // flash: BadStream()
                    mstore(BUFFER, 0x022c0d9f) // swap(uint256,uint256,address,bytes)
                    mstore(add(BUFFER, 0x20), 0)
                    mstore(add(BUFFER, 0x40), 0)
                    mstore(add(add(BUFFER, 0x20), and(shl(3, head), 0x20)), amount)
                    mstore(add(BUFFER, 0x60), to)
                    mstore(add(BUFFER, 0x80), 0x80)
                    let layout := or(and(tag, TOKEN_MASK), LAYOUT_V2)
                    let length := expect(pool, add(BUFFER, 0xc0), token, layout, at, end)
                    mstore(add(BUFFER, 0xa0), length)
                    if iszero(call(gas(), pool, 0, add(BUFFER, 0x1c), add(0xa4, length), 0x00, 0x00)) { passOn() }
                    at := end
                    break
                }

                // a loan, for the entry alone
                if and(tag, LAYOUT_MASK) { fail(0x886e31df) } // BadStream()
                at := sub(at, TARGET_WIDTH)
                break
            }

            // A pool that is paid here gets what it asks for at the end of its callback: the positive one of the two
            // amounts, or zero.
            if and(tag, PAYS) {
                let amount := calldataload(0x04)
                if iszero(sgt(amount, 0)) { amount := calldataload(0x24) }
                pay(token, caller(), amount)
                stop()
            }
            if lt(sub(and(tag, LAYOUT_MASK), LAYOUT_V3), 2) { stop() } // LAYOUT_V3, LAYOUT_V2
        }
        if (tag & LAYOUT_MASK == LAYOUT_ENTRY) {
            if (at < end) _borrow(at, end, token, tag);
            _finish(token, start);
        } else {
            _repay(tag & LAYOUT_MASK, token, start);
        }
    }

    /// @dev The header of a stream in its general form, its guards checked.
    function _readHeader() private view returns (uint256 at, uint256 tag, uint256 token) {
        uint256 lastBlock;
        uint256 hasParent;
        assembly ("memory-safe") {
            let head := calldataload(0)
            at := 20
            hasParent := and(shr(127, head), 1)
            tag := and(shr(TOKEN_IN_HEADER, head), TOKEN_MASK)
            lastBlock := and(shr(96, head), LAST_BLOCK_MASK)
        }
        if (hasParent != 0) {
            uint256 parent;
            assembly ("memory-safe") {
                parent := shr(224, calldataload(at))
                at := add(at, 4)
            }
            if (uint256(blockhash(block.number - 1)) >> 224 != parent) revert WrongParent();
        }
        if (block.number > lastBlock) revert Expired();
        (at, token) = _readToken(tag, at);
        if (at >= msg.data.length) revert BadStream();
    }

    /// @dev The profit token of the frame, and what follows it: the coin of the tag's number, or calldata[at : at + 20].
    function _readToken(uint256 tag, uint256 at) private pure returns (uint256 next, uint256 token) {
        uint256 number = tag & TOKEN_MASK;
        if (number == TOKEN_ETHEREUM) return (at, ETHEREUM_WETH);
        if (number == TOKEN_OP_STACK) return (at, OP_STACK_WETH);
        if (number == TOKEN_ARBITRUM) return (at, ARBITRUM_WETH);
        if (number == TOKEN_POLYGON) return (at, POLYGON_WPOL);
        if (number != 0) revert BadStream();
        assembly ("memory-safe") {
            token := shr(96, calldataload(at))
            next := add(at, ADDRESS_WIDTH)
        }
    }

    /// @dev Take a loan of the profit token: lender(20) amount(14).
    function _borrow(uint256 at, uint256 end, uint256 token, uint256 tag) private {
        unchecked {
            if (at + TARGET_WIDTH > end) revert BadStream();
            uint256 head;
            uint256 lender;
            uint256 amount;
            assembly ("memory-safe") {
                head := byte(0, calldataload(at))
                lender := shr(96, calldataload(add(at, HEAD_WIDTH)))
                amount := shr(144, calldataload(add(at, OPERAND_AT)))
            }
            if (head == MORPHO << FLAG_BITS) Morpho.borrow(lender, amount, token, at, end, tag);
            else if (head == BALANCER_V2 << FLAG_BITS) BalancerV2.borrow(lender, amount, token, at, end, tag);
            else if (head == AAVE_V3 << FLAG_BITS) AaveV3.borrow(lender, amount, token, at, end, tag);
            else revert BadStream();
        }
    }

    /// @dev Arrange the repayment of the loan whose operation is at `own`.
    function _repay(uint256 layout, uint256 token, uint256 own) private {
        uint256 amount = Loan.amount(own);
        if (layout == LAYOUT_MORPHO) {
            Morpho.repay(token, amount);
        } else if (layout == LAYOUT_BALANCER_V2) {
            BalancerV2.repay(token, amount);
        } else {
            AaveV3.repay(token, amount);
            assembly ("memory-safe") {
                mstore(0x00, 1) // executeOperation returns true
                return(0x00, 0x20)
            }
        }
    }

    /// @dev Require that nobody may call back any more, and the profit.
    function _finish(uint256 token, uint256 start) private view {
        if (Continuation.expected() != 0) revert CallbackMissing();
        uint256 end = Token.balance(token);
        uint256 minProfit;
        uint256 short;
        assembly ("memory-safe") {
            minProfit := shr(128, calldataload(0))
            short := or(lt(end, start), lt(sub(end, start), minProfit))
        }
        if (short != 0) revert ProfitTooSmall(start, end, minProfit);
    }
}
