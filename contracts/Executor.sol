// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Frames} from "./Frames.sol";
import {Roles} from "./Roles.sol";
import {Continuation, HASH_MASK, SLOT} from "./libraries/Continuation.sol";
import "./libraries/Opcodes.sol";
import {HIGHEST_PRICE, LOWEST_PRICE} from "./venues/UniswapV3.sol";

/// @title Runs operator streams: see `IExecutor` for their form and for the functions that are served beside them
/// @notice Everything enters through the fallback function, streams and callbacks first: a table of functions before it
/// would cost each of them gas. Nothing is kept between transactions but what was earned.
contract Executor is Frames {
    constructor(address operator, address treasury) Roles(operator, treasury) {}

    /// @dev The short way, in assembly from the first byte to the last: streams that earn WETH on Ethereum through V2 and V3
    /// pools alone, begin with a pool that calls back, and ask for nothing but a profit and a last block; and the
    /// callbacks of such streams. It leaves nothing behind before it has decided to serve a call to its end. What it does not
    /// serve, `Frames` does.
    ///
    /// Each kind of frame has its own copy of a swap, with the positions of its fields as constants: one swap for all of
    /// them costs a frame up to 200 gas. Calls are built from the first byte of memory on, which nobody else uses here.
    fallback() external payable {
        uint256 operator = OPERATOR;
        assembly {
            // Revert with an error that has no arguments.
            function fail(selector) {
                mstore(0x00, selector)
                revert(0x1c, 0x04)
            }

            // Revert with what the callee reverted with.
            function passOn() {
                returndatacopy(0x00, 0x00, returndatasize())
                revert(0x00, returndatasize())
            }

            // Require that nobody may call back any more, and the profit.
            function finish(start, end, minProfit) {
                if tload(SLOT) { fail(0xe2481207) } // CallbackMissing()
                if or(lt(end, start), lt(sub(end, start), minProfit)) {
                    mstore(0x00, 0xe51e80ec) // ProfitTooSmall(uint256,uint256,uint256)
                    mstore(0x20, start)
                    mstore(0x40, end)
                    mstore(0x60, minProfit)
                    revert(0x1c, 0x64)
                }
                stop()
            }

            // The pool of the operation at `at`.
            function nextPool(at, end) -> pool {
                if gt(add(at, 21), end) { fail(0x886e31df) } // BadStream()
                pool := shr(96, calldataload(add(at, 1)))
            }

            // A transfer did not succeed: `ok` tells whether the token returned at all.
            function unpaid(ok) {
                if ok { fail(0x8e20b1f9) } // TokenFailed()
                passOn()
            }

            // The operations behind the first one of a callback, to the end of the frame: as below, at any position.
            function runRest(at, end) {
                for {} xor(at, end) {} {
                    let word := calldataload(at)
                    let next := add(at, 35)
                    switch slt(word, 0)
                    case 1 {
                        // a pair: pool(20) amountOut(14) [amountIn(14)]
                        if and(word, shl(254, 1)) {
                            next := add(at, 49)
                            if gt(next, end) { fail(0x886e31df) } // BadStream()
                            mstore(0x00, 0xa9059cbb) // transfer(address,uint256)
                            mstore(0x20, shr(96, shl(8, word)))
                            mstore(0x40, shr(144, calldataload(add(at, 35))))
                            let ok := call(gas(), ETHEREUM_WETH, 0, 0x1c, 0x44, 0x00, 0x20)
                            if iszero(and(ok, or(eq(mload(0x00), 1), iszero(returndatasize())))) { unpaid(ok) }
                        }
                        if or(gt(next, end), and(word, shl(248, V2_CALLED))) { fail(0x886e31df) } // BadStream()
                        let direction := and(shr(248, word), V2_ZERO_FOR_ONE)
                        mstore(0x00, 0x022c0d9f) // swap(uint256,uint256,address,bytes)
                        mstore(add(0x20, direction), shr(144, calldataload(add(at, 21))))
                        mstore(sub(0x40, direction), 0)
                        mstore(0x60, caller())
                        mstore(0x80, 0x80)
                        mstore(0xa0, 0)
                        if and(word, shl(248, TO_MASK)) {
                            mstore(0x60, address())
                            if and(word, shl(248, TO_NEXT)) { mstore(0x60, nextPool(next, end)) }
                        }
                        if iszero(call(gas(), shr(88, word), 0, 0x1c, 0xa4, 0x00, 0x00)) { passOn() }
                    }
                    default {
                        // V3: pool(20) amountIn(14) [length(1)]
                        if or(gt(next, end), lt(word, shl(254, 1))) { fail(0x886e31df) } // BadStream()
                        let zeroForOne := and(shr(250, word), 1)
                        let from := next
                        let size := 0
                        let what := or(SHORT_DIRECT, and(shr(236, word), ZERO_SIDE))
                        if iszero(and(word, shl(248, V3_DIRECT))) {
                            switch and(word, shl(248, V3_CALLED))
                            case 0 {
                                from := add(next, 1)
                                size := byte(0, calldataload(next))
                                next := add(from, size)
                                if gt(next, end) { fail(0x886e31df) } // BadStream()
                            }
                            default { size := sub(end, next) }
                            calldatacopy(0xe0, from, size)
                            what := or(and(keccak256(0xe0, size), HASH_MASK), or(and(shr(236, word), V3_SIDE_AND_PAYS), SHORT_V3))
                        }
                        mstore(0x00, 0x128acb08) // swap(address,bool,int256,uint160,bytes)
                        mstore(0x20, caller())
                        mstore(0x40, zeroForOne)
                        mstore(0x60, shr(144, calldataload(add(at, 21))))
                        mstore(0x80, xor(HIGHEST_PRICE, mul(zeroForOne, xor(HIGHEST_PRICE, LOWEST_PRICE))))
                        mstore(0xa0, 0xa0)
                        mstore(0xc0, size)
                        if and(word, shl(248, TO_MASK)) {
                            mstore(0x20, address())
                            if and(word, shl(248, TO_NEXT)) { mstore(0x20, nextPool(next, end)) }
                        }
                        tstore(SLOT, or(shl(96, shr(88, word)), what))
                        next := add(from, size)
                        if iszero(call(gas(), shr(88, word), 0, 0x1c, add(0xc4, size), 0x00, 0x00)) { passOn() }
                    }
                    at := next
                }
            }

            switch eq(caller(), operator)
            case 0 {
                let expected := tload(SLOT)
                if eq(shr(96, expected), caller()) {
                    if and(expected, SHORT_FRAME) {
                        // The callback of a V3 pool: (int256 amount0, int256 amount1, bytes at 0x84).
                        //
                        //     require keccak(continuation) matches, and that it holds an operation
                        //     one V3 pool, or pairs
                        //     more pairs
                        //     pay the caller if that was promised
                        let length := calldataload(0x64)
                        calldatacopy(0x00, 0x84, length)
                        if and(xor(keccak256(0x00, length), expected), HASH_MASK) { fail(0x790c43cf) } // ContinuationMismatch()
                        let word := calldataload(0x84)
                        let next := 0xa7
                        switch slt(word, 0)
                        case 0 {
                            // V3: pool(20) amountIn(14) [length(1)]. The slot is overwritten before the pool is called.
                            //
                            //     memory = swap.selector | to | zeroForOne | amountIn | price limit | 0xa0 | length | continuation
                            //     transient[SLOT] = pool << 96 | [keccak(continuation) & HASH_MASK] | tag
                            //     call the pool, pass on its revert data
                            if or(lt(length, 35), lt(word, shl(254, 1))) { fail(0x886e31df) } // BadStream()
                            let zeroForOne := and(shr(250, word), 1)
                            mstore(0x00, 0x128acb08) // swap(address,bool,int256,uint160,bytes)
                            mstore(0x20, caller())
                            mstore(0x40, zeroForOne)
                            mstore(0x60, shr(144, calldataload(0x99)))
                            mstore(0x80, xor(HIGHEST_PRICE, mul(zeroForOne, xor(HIGHEST_PRICE, LOWEST_PRICE))))
                            mstore(0xa0, 0xa0)
                            switch and(word, shl(248, V3_DIRECT))
                            case 0 {
                                if and(word, shl(248, V3_CALLED)) {
                                    length := sub(length, 35)
                                    mstore(0xc0, length)
                                    calldatacopy(0xe0, 0xa7, length)
                                    tstore(SLOT, or(shl(96, shr(88, word)), or(and(keccak256(0xe0, length), HASH_MASK), or(and(shr(236, word), V3_SIDE_AND_PAYS), SHORT_V3))))
                                    if and(word, shl(248, TO_MASK)) {
                                        mstore(0x20, address())
                                        if and(word, shl(248, TO_NEXT)) { mstore(0x20, nextPool(next, add(next, length))) }
                                    }
                                    if iszero(call(gas(), shr(88, word), 0, 0x1c, add(0xc4, length), 0x00, 0x00)) { passOn() }
                                    if and(expected, PAYS) {
                                        mstore(0x00, 0xa9059cbb) // transfer(address,uint256)
                                        mstore(0x20, caller())
                                        mstore(0x40, calldataload(sub(0x24, and(shr(9, expected), 0x20))))
                                        let ok := call(gas(), ETHEREUM_WETH, 0, 0x1c, 0x44, 0x00, 0x20)
                                        if iszero(and(ok, or(eq(mload(0x00), 1), iszero(returndatasize())))) { unpaid(ok) }
                                    }
                                    stop()
                                }
                                let size := byte(0, calldataload(0xa7))
                                next := add(0xa8, size)
                                if gt(next, add(0x84, length)) { fail(0x886e31df) } // BadStream()
                                calldatacopy(0xe0, 0xa8, size)
                                tstore(SLOT, or(shl(96, shr(88, word)), or(and(keccak256(0xe0, size), HASH_MASK), or(and(shr(236, word), V3_SIDE_AND_PAYS), SHORT_V3))))
                                mstore(0xc0, size)
                                if and(word, shl(248, TO_MASK)) {
                                    mstore(0x20, address())
                                    if and(word, shl(248, TO_NEXT)) { mstore(0x20, nextPool(next, add(0x84, length))) }
                                }
                                if iszero(call(gas(), shr(88, word), 0, 0x1c, add(0xc4, size), 0x00, 0x00)) { passOn() }
                            }
                            default {
                                tstore(SLOT, or(or(shl(96, shr(88, word)), SHORT_DIRECT), and(shr(236, word), ZERO_SIDE)))
                                mstore(0xc0, 0)
                                if and(word, shl(248, TO_MASK)) {
                                    mstore(0x20, address())
                                    if and(word, shl(248, TO_NEXT)) { mstore(0x20, nextPool(next, add(0x84, length))) }
                                }
                                if iszero(call(gas(), shr(88, word), 0, 0x1c, 0xc4, 0x00, 0x00)) { passOn() }
                                if iszero(or(xor(length, 35), and(expected, PAYS))) { stop() }
                            }
                        }
                        default {
                            tstore(SLOT, 0)
                            if and(word, shl(254, 1)) {
                                next := 0xb5
                                if lt(length, 49) { fail(0x886e31df) } // BadStream()
                                mstore(0x00, 0xa9059cbb) // transfer(address,uint256)
                                mstore(0x20, shr(96, shl(8, word)))
                                mstore(0x40, shr(144, calldataload(0xa7)))
                                let ok := call(gas(), ETHEREUM_WETH, 0, 0x1c, 0x44, 0x00, 0x20)
                                if iszero(and(ok, or(eq(mload(0x00), 1), iszero(returndatasize())))) { unpaid(ok) }
                            }
                            if or(lt(length, 35), and(word, shl(248, V2_CALLED))) { fail(0x886e31df) } // BadStream()
                            let direction := and(shr(248, word), V2_ZERO_FOR_ONE)
                            mstore(0x00, 0x022c0d9f) // swap(uint256,uint256,address,bytes)
                            mstore(add(0x20, direction), shr(144, calldataload(0x99)))
                            mstore(sub(0x40, direction), 0)
                            mstore(0x60, caller())
                            mstore(0x80, 0x80)
                            mstore(0xa0, 0)
                            if and(word, shl(248, TO_MASK)) {
                                mstore(0x60, address())
                                if and(word, shl(248, TO_NEXT)) { mstore(0x60, nextPool(next, add(0x84, length))) }
                            }
                            if iszero(call(gas(), shr(88, word), 0, 0x1c, 0xa4, 0x00, 0x00)) { passOn() }
                        }
                        length := add(0x84, length)
                        if xor(next, length) { runRest(next, length) }
                        if and(expected, PAYS) {
                            mstore(0x00, 0xa9059cbb) // transfer(address,uint256)
                            mstore(0x20, caller())
                            mstore(0x40, calldataload(sub(0x24, and(shr(9, expected), 0x20))))
                            let ok := call(gas(), ETHEREUM_WETH, 0, 0x1c, 0x44, 0x00, 0x20)
                            if iszero(and(ok, or(eq(mload(0x00), 1), iszero(returndatasize())))) { unpaid(ok) }
                        }
                        stop()
                    }
                    let kind := and(expected, KIND_MASK)
                    if eq(kind, DIRECT) {
                        // The callback of a V3 pool that is paid at once, whatever bytes it gives.
                        tstore(SLOT, 0)
                        mstore(0x00, 0xa9059cbb) // transfer(address,uint256)
                        mstore(0x20, caller())
                        mstore(0x40, calldataload(sub(0x24, and(shr(9, expected), 0x20))))
                        let ok := call(gas(), ETHEREUM_WETH, 0, 0x1c, 0x44, 0x00, 0x20)
                        if iszero(and(ok, or(eq(mload(0x00), 1), iszero(returndatasize())))) { unpaid(ok) }
                        stop()
                    }
                    if eq(kind, SHORT_V4_KIND) {
                        // The callback of V4's manager: (bytes at 0x44). A chain of swaps as in `UniswapV4`, closed at its end.
                        //
                        //     require keccak(continuation) matches
                        //     transient[SLOT] = 0
                        //     each swap: memory = swap.selector | currency0 | currency1 | fee | tickSpacing | hooks
                        //                | zeroForOne | -amountIn | price limit | 0x120 | 0
                        //                call the manager, pass on its revert data; left += its answer, for the coin
                        //     manager.take(0, this, left)
                        //     return an empty `bytes`
                        let end := calldataload(0x24)
                        calldatacopy(0x00, 0x44, end)
                        if and(xor(keccak256(0x00, end), expected), HASH_MASK) { fail(0x790c43cf) } // ContinuationMismatch()
                        tstore(SLOT, 0)
                        end := add(0x44, end)
                        let paidOut := 0
                        let left := 0
                        mstore(0x20, 0)
                        mstore(0x40, 0)
                        mstore(0x120, 0x120)
                        mstore(0x140, 0)
                        for { let at := 0x44 } xor(at, end) {} {
                            let word := calldataload(at)
                            if xor(byte(0, word), 0x2a) { fail(0x886e31df) } // BadStream()
                            // V4_SWAP: flags(1) fee(3) tickSpacing(3) [currency0(20) currency1(20)] [hooks(20)] [amountIn(14)]
                            let flags := byte(1, word)
                            mstore(0x60, and(shr(216, word), 0xffffff))
                            mstore(0x80, signextend(2, shr(192, word)))
                            at := add(at, 8)
                            switch and(flags, 0x0e)
                            case 0 {
                                mstore(0x20, shr(96, calldataload(at)))
                                mstore(0x40, shr(96, calldataload(add(at, 20))))
                                mstore(0xa0, 0)
                                paidOut := shr(144, calldataload(add(at, 40)))
                                at := add(at, 54)
                            }
                            case 6 { mstore(0xa0, 0) } // V4_SAME | V4_CHAINED
                            default {
                                if iszero(and(flags, V4_SAME)) {
                                    mstore(0x20, shr(96, calldataload(at)))
                                    mstore(0x40, shr(96, calldataload(add(at, 20))))
                                    at := add(at, 40)
                                }
                                mstore(0xa0, 0)
                                if and(flags, V4_HOOKED) {
                                    mstore(0xa0, shr(96, calldataload(at)))
                                    at := add(at, 20)
                                }
                                if iszero(and(flags, V4_CHAINED)) {
                                    paidOut := shr(144, calldataload(at))
                                    at := add(at, 14)
                                }
                            }
                            if gt(at, end) { fail(0x886e31df) } // BadStream()
                            let zeroForOne := and(flags, V4_ZERO_FOR_ONE)
                            mstore(0x00, 0xf3cd914c) // swap((address,address,uint24,int24,address),(bool,int256,uint160),bytes)
                            mstore(0xc0, zeroForOne)
                            mstore(0xe0, sub(0, paidOut))
                            mstore(0x100, xor(HIGHEST_PRICE, mul(zeroForOne, xor(HIGHEST_PRICE, LOWEST_PRICE))))
                            if iszero(call(gas(), caller(), 0, 0x1c, 0x144, 0x00, 0x20)) { passOn() }
                            let amount0 := sar(128, mload(0x00))
                            paidOut := xor(amount0, mul(zeroForOne, xor(amount0, signextend(15, mload(0x00)))))
                            if iszero(mload(0x20)) { left := add(left, amount0) }
                        }
                        mstore(0x00, 0x0b0d9c09) // take(address,address,uint256)
                        mstore(0x20, 0)
                        mstore(0x40, address())
                        mstore(0x60, left)
                        if iszero(call(gas(), caller(), 0, 0x1c, 0x64, 0x00, 0x00)) { passOn() }
                        mstore(0x00, 0x20)
                        mstore(0x20, 0)
                        return(0x00, 0x40)
                    }
                    if eq(kind, FLASH_SWAP) {
                        // The callback of a pair: (address sender, uint256 amount0, uint256 amount1, bytes at 0xa4).
                        //
                        //     require keccak(continuation) matches, and sender == this
                        //     transient[SLOT] = 0
                        //     pairs
                        let length := calldataload(0x84)
                        calldatacopy(0x00, 0xa4, length)
                        if and(xor(keccak256(0x00, length), expected), HASH_MASK) { fail(0x790c43cf) } // ContinuationMismatch()
                        if xor(calldataload(0x04), address()) { fail(0xd3734b64) } // WrongInitiator()
                        tstore(SLOT, 0)
                        let word := calldataload(0xa4)
                        let next := 0xc7
                        length := add(0xa4, length)
                        if sgt(word, sub(0, 1)) {
                            runRest(0xa4, length)
                            stop()
                        }
                        if and(word, shl(254, 1)) {
                            next := 0xd5
                            if gt(next, length) { fail(0x886e31df) } // BadStream()
                            mstore(0x00, 0xa9059cbb) // transfer(address,uint256)
                            mstore(0x20, shr(96, shl(8, word)))
                            mstore(0x40, shr(144, calldataload(0xc7)))
                            let ok := call(gas(), ETHEREUM_WETH, 0, 0x1c, 0x44, 0x00, 0x20)
                            if iszero(and(ok, or(eq(mload(0x00), 1), iszero(returndatasize())))) { unpaid(ok) }
                        }
                        if or(and(word, shl(248, V2_CALLED)), gt(next, length)) { fail(0x886e31df) } // BadStream()
                        let direction := and(shr(248, word), V2_ZERO_FOR_ONE)
                        mstore(0x00, 0x022c0d9f) // swap(uint256,uint256,address,bytes)
                        mstore(add(0x20, direction), shr(144, calldataload(0xb9)))
                        mstore(sub(0x40, direction), 0)
                        mstore(0x60, caller())
                        mstore(0x80, 0x80)
                        mstore(0xa0, 0)
                        if and(word, shl(248, TO_MASK)) {
                            mstore(0x60, address())
                            if and(word, shl(248, TO_NEXT)) { mstore(0x60, nextPool(next, length)) }
                        }
                        if iszero(call(gas(), shr(88, word), 0, 0x1c, 0xa4, 0x00, 0x00)) { passOn() }
                        if xor(next, length) { runRest(next, length) }
                        stop()
                    }
                }
                if iszero(or(expected, calldatasize())) { stop() } // coins that come without a word
            }
            default {
                // lastBlock(4) shift(1) mantissa(3) | head(1) pool(20) amount(14) | continuation
                //
                //     if lastBlock is not over, the pool calls back and its operation is whole:
                //         start = WETH.balanceOf(this)
                //         swap, the rest being the continuation
                //         require nobody may call back any more, WETH.balanceOf(this) - start >= mantissa << shift
                let word := calldataload(8)
                let length := sub(calldatasize(), 43)
                let header := calldataload(0)
                if iszero(or(or(gt(number(), shr(224, header)), slt(length, 0)), xor(and(word, shl(248, FIRST_MASK)), shl(248, FIRST)))) {
                    // balanceOf(this) stays in memory for the second time, the swap is built behind it
                    mstore(0x00, 0x70a08231) // balanceOf(address)
                    mstore(0x20, address())
                    pop(staticcall(gas(), ETHEREUM_WETH, 0x1c, 0x24, 0x40, 0x20))
                    let start := mload(0x40)
                    switch slt(word, 0)
                    case 0 {
                        // V3
                        let zeroForOne := and(shr(250, word), 1)
                        mstore(0x40, 0x128acb08) // swap(address,bool,int256,uint160,bytes)
                        mstore(0x60, address())
                        mstore(0x80, zeroForOne)
                        mstore(0xa0, shr(144, calldataload(29)))
                        mstore(0xc0, xor(HIGHEST_PRICE, mul(zeroForOne, xor(HIGHEST_PRICE, LOWEST_PRICE))))
                        mstore(0xe0, 0xa0)
                        mstore(0x100, length)
                        calldatacopy(0x120, 43, length)
                        tstore(SLOT, or(shl(96, shr(88, word)), or(and(keccak256(0x120, length), HASH_MASK), or(and(shr(236, word), V3_SIDE_AND_PAYS), SHORT_V3))))
                        if and(word, shl(248, TO_NEXT)) { mstore(0x60, nextPool(43, calldatasize())) }
                        if iszero(call(gas(), shr(88, word), 0, 0x5c, add(0xc4, length), 0x00, 0x00)) { passOn() }
                    }
                    default {
                        // a pair
                        mstore(0x40, 0x022c0d9f) // swap(uint256,uint256,address,bytes)
                        let direction := and(shr(246, word), 0x20)
                        mstore(add(0x60, direction), shr(144, calldataload(29)))
                        mstore(sub(0x80, direction), 0)
                        mstore(0xa0, address())
                        mstore(0xc0, 0x80)
                        mstore(0xe0, length)
                        calldatacopy(0x100, 43, length)
                        tstore(SLOT, or(shl(96, shr(88, word)), or(and(keccak256(0x100, length), HASH_MASK), SHORT_FLASH_SWAP)))
                        if iszero(call(gas(), shr(88, word), 0, 0x5c, add(0xa4, length), 0x00, 0x00)) { passOn() }
                    }
                    pop(staticcall(gas(), ETHEREUM_WETH, 0x1c, 0x24, 0x40, 0x20))
                    let end := mload(0x40)
                    header := calldataload(0)
                    let minProfit := shl(byte(4, header), and(shr(192, header), 0xffffff))
                    if iszero(or(or(lt(end, start), lt(sub(end, start), minProfit)), tload(SLOT))) { stop() }
                    finish(start, end, minProfit)
                }
                // lastBlock(4) shift(1) mantissa(3) | V4_UNLOCK_ETHEREUM | continuation: a loop through V4, which earns the coin itself.
                //
                //     if lastBlock is not over:
                //         start = this.balance
                //         unlock, the rest being the continuation
                //         require nobody may call back any more, this.balance - start >= mantissa << shift
                if iszero(or(xor(byte(0, word), 0x29), gt(number(), shr(224, header)))) {
                    let start := selfbalance()
                    length := sub(calldatasize(), 9)
                    mstore(0x00, 0x48c89491) // unlock(bytes)
                    mstore(0x20, 0x20)
                    mstore(0x40, length)
                    calldatacopy(0x60, 9, length)
                    tstore(SLOT, or(shl(96, ETHEREUM_POOL_MANAGER), or(and(keccak256(0x60, length), HASH_MASK), SHORT_V4)))
                    if iszero(call(gas(), ETHEREUM_POOL_MANAGER, 0, 0x1c, add(0x44, length), 0x00, 0x00)) { passOn() }
                    let end := selfbalance()
                    finish(start, end, shl(byte(4, calldataload(0)), and(shr(192, calldataload(0)), 0xffffff)))
                }
            }
        }
        _takeTheLongWay();
    }

    function _takeTheLongWay() private {
        if (uint160(msg.sender) == OPERATOR) return _runStream();
        uint256 expected = Continuation.expected();
        if (expected == 0) return _serve();
        if (expected >> 96 != uint160(msg.sender)) revert Unauthorized();
        _runCallback(expected);
    }
}
