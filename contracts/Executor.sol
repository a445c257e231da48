// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Errors} from "./Errors.sol";
import {IExecutor} from "./interfaces/IExecutor.sol";
import {AaveV3} from "./lenders/AaveV3.sol";
import {BalancerV2} from "./lenders/BalancerV2.sol";
import {Loan} from "./lenders/Loan.sol";
import {Morpho} from "./lenders/Morpho.sol";
import {Continuation} from "./libraries/Continuation.sol";
import "./libraries/Opcodes.sol";
import {Token} from "./libraries/Token.sol";
import {UniswapV2} from "./venues/UniswapV2.sol";
import {UniswapV3} from "./venues/UniswapV3.sol";

/// @title Runs operator streams: see `IExecutor` for their form and for the functions that are served beside them
/// @notice Everything enters through the fallback function, streams and callbacks first: a table of functions before it
/// would cost each of them gas. Nothing is kept between transactions but what was earned.
contract Executor is Errors {
    address private immutable OPERATOR;
    address private immutable TREASURY;

    constructor(address operator, address treasury) {
        if (operator == address(0) || treasury == address(0)) revert ZeroAddress();
        OPERATOR = operator;
        TREASURY = treasury;
    }

    // ------------------------------------------------------------------ entry

    fallback() external payable {
        if (msg.sender == OPERATOR) {
            _enter();
            return;
        }
        uint256 committed = Continuation.expected();
        if (committed == 0) {
            _serve();
            return;
        }
        if (committed >> 96 != uint160(msg.sender)) revert Unauthorized();
        _resume(committed);
    }

    /// @dev The functions of `IExecutor`, between transactions of the operator, whose own calls are streams.
    function _serve() private {
        if (msg.sig == IExecutor.sweep.selector) {
            (address token, uint256 amount) = abi.decode(msg.data[4:], (address, uint256));
            _sweep(token, amount);
        } else if (msg.sig == IExecutor.operator.selector) {
            _answer(OPERATOR);
        } else if (msg.sig == IExecutor.treasury.selector) {
            _answer(TREASURY);
        } else {
            revert Unauthorized();
        }
    }

    function _answer(address value) private pure {
        assembly ("memory-safe") {
            mstore(0x00, value)
            return(0x00, 0x20)
        }
    }

    function _sweep(address token, uint256 amount) private {
        if (msg.sender != TREASURY) revert Unauthorized();
        if (token == address(0)) {
            (bool ok,) = TREASURY.call{value: amount}("");
            if (!ok) revert TokenFailed();
        } else {
            Token.transfer(uint160(token), uint160(TREASURY), amount);
        }
    }

    // ------------------------------------------------------------------ stream

    /// @dev Check the guards, run the operations and check the profit.
    ///
    ///     minProfit(16) | hasParent(1 bit) lastBlock(31 bits) | [parent(4)] | token(20) | op...
    function _enter() private {
        uint256 minProfit;
        uint256 guard;
        uint256 at = 20;
        assembly ("memory-safe") {
            guard := calldataload(0)
            minProfit := shr(128, guard)
            guard := and(shr(96, guard), 0xffffffff)
        }
        if (guard >> 31 != 0) {
            uint256 parent;
            assembly ("memory-safe") {
                parent := shr(224, calldataload(20))
                guard := and(guard, 0x7fffffff)
                at := 24
            }
            if (uint256(blockhash(block.number - 1)) >> 224 != parent) revert WrongParent();
        }
        if (block.number > guard) revert Expired();
        uint256 token;
        assembly ("memory-safe") {
            token := shr(96, calldataload(at))
            at := add(at, 20)
        }
        if (at >= msg.data.length) revert BadStream();

        uint256 start = Token.balance(token);
        _run(at, msg.data.length, token, LAYOUT_ENTRY);
        if (Continuation.expected() != 0) revert CallbackMissing();
        uint256 end = Token.balance(token);
        uint256 short;
        assembly ("memory-safe") {
            short := or(lt(end, start), lt(sub(end, start), minProfit))
        }
        if (short != 0) revert ProfitTooSmall(start, end, minProfit);
    }

    /// @dev Authenticate the bytes of a callback, run its continuation and, for a loan, arrange the repayment.
    function _resume(uint256 committed) private {
        (uint256 start, uint256 end, uint256 layout) = Continuation.open(committed);
        uint256 token;
        uint256 at;
        assembly ("memory-safe") {
            token := shr(96, calldataload(start))
            at := add(start, 20)
        }
        bool loan;
        if (layout != LAYOUT_V3) {
            if (layout == LAYOUT_V2) {
                UniswapV2.requireInitiator();
            } else {
                if (layout == LAYOUT_AAVE_V3) AaveV3.requireInitiator();
                loan = true;
                unchecked {
                    at += TARGET_WIDTH;
                }
            }
        }
        _run(at, end, token, layout);
        if (loan) {
            uint256 amount = Loan.amount(start);
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
    }

    /// @dev Run the operations of `calldata[at : end]`. An operation that is called back takes everything behind it along
    /// as its continuation, so nothing is left to do here once it returns.
    /// @param token The profit token.
    /// @param layout How this frame was entered.
    function _run(uint256 at, uint256 end, uint256 token, uint256 layout) private {
        unchecked {
            while (at < end) {
                uint256 head;
                uint256 opcode;
                uint256 to;
                uint256 amount;
                assembly ("memory-safe") {
                    head := byte(0, calldataload(at))
                    opcode := shr(FLAG_BITS, head)
                }
                if (opcode - 1 < LAST_SWAP) {
                    uint256 pool;
                    uint256 next;
                    (pool, to, amount, next) = _operands(at, end, head, layout);
                    uint256 zeroForOne = (head >> 2) & 1;
                    if (opcode == UNISWAP_V2) {
                        UniswapV2.swap(pool, zeroForOne, amount, to);
                        at = next;
                        continue;
                    }
                    if (opcode == UNISWAP_V3) {
                        UniswapV3.swap(pool, zeroForOne, amount, to, token, next, end);
                        return;
                    }
                    if (head & TO_MASK != TO_SELF) revert BadStream();
                    UniswapV2.flashSwap(pool, zeroForOne, amount, token, next, end);
                    return;
                }
                if (head == PAY_NEXT << FLAG_BITS) {
                    assembly ("memory-safe") {
                        amount := shr(144, calldataload(add(at, 1)))
                        at := add(at, 15)
                    }
                    uint256 bad;
                    (to, bad) = _poolAt(at, end);
                    if (bad != 0) revert BadStream();
                } else if (head == PAY_CALLER << FLAG_BITS) {
                    if (layout != LAYOUT_V3) revert BadStream();
                    to = uint160(msg.sender);
                    amount = UniswapV3.asked();
                    at += HEAD_WIDTH;
                } else {
                    _borrow(head, at, end, token);
                    return;
                }
                Token.transfer(token, to, amount);
            }
        }
    }

    /// @dev The operands of the swap at `at`: pool(20) [to(20)] amount(14).
    ///
    ///     to = this, calldata pool of the next swap, msg.sender or calldata address
    ///     require the operation, and what it refers to, lies within the stream
    ///
    /// @return pool The pool, above which the head is left: a call and a shift to the left take no notice of it.
    /// @return to Where the pool delivers.
    /// @return amount Raw units; of the output for V2, of the input for V3.
    /// @return next Position of the operation behind it.
    function _operands(uint256 at, uint256 end, uint256 head, uint256 layout)
        private
        view
        returns (uint256 pool, uint256 to, uint256 amount, uint256 next)
    {
        uint256 bad;
        uint256 mode;
        assembly ("memory-safe") {
            pool := shr(88, calldataload(at))
            amount := shr(144, calldataload(add(at, 21)))
            next := add(at, TARGET_WIDTH)
            mode := and(head, TO_MASK)
        }
        if (mode == TO_CALLER) {
            assembly ("memory-safe") {
                to := caller()
                bad := or(iszero(layout), gt(next, end))
            }
        } else if (mode == TO_SELF) {
            assembly ("memory-safe") {
                to := address()
                bad := gt(next, end)
            }
        } else if (mode == TO_NEXT) {
            (to, bad) = _poolAt(next, end);
        } else {
            assembly ("memory-safe") {
                to := shr(96, calldataload(add(at, 21)))
                amount := shr(144, calldataload(add(at, 41)))
                next := add(next, ADDRESS_WIDTH)
                bad := gt(next, end)
            }
        }
        if (bad != 0) revert BadStream();
    }

    /// @dev The pool of the swap at `at`; `bad` unless there is one within the stream.
    function _poolAt(uint256 at, uint256 end) private pure returns (uint256 pool, uint256 bad) {
        assembly ("memory-safe") {
            pool := shr(96, calldataload(add(at, 1)))
            let opcode := shr(FLAG_BITS, byte(0, calldataload(at)))
            bad := or(gt(add(at, 21), end), gt(sub(opcode, 1), sub(LAST_SWAP, 1)))
        }
    }

    /// @dev Take a loan of the profit token: lender(20) amount(14).
    function _borrow(uint256 head, uint256 at, uint256 end, uint256 token) private {
        unchecked {
            if (at + TARGET_WIDTH > end) revert BadStream();
            uint256 lender;
            uint256 amount;
            assembly ("memory-safe") {
                lender := shr(96, calldataload(add(at, 1)))
                amount := shr(144, calldataload(add(at, 21)))
            }
            if (head == MORPHO << FLAG_BITS) Morpho.borrow(lender, amount, token, at, end);
            else if (head == BALANCER_V2 << FLAG_BITS) BalancerV2.borrow(lender, amount, token, at, end);
            else if (head == AAVE_V3 << FLAG_BITS) AaveV3.borrow(lender, amount, token, at, end);
            else revert BadStream();
        }
    }
}
