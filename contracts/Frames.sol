// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Roles} from "./Roles.sol";
import {AaveV3} from "./lenders/AaveV3.sol";
import {BalancerV2} from "./lenders/BalancerV2.sol";
import {Dodo} from "./lenders/Dodo.sol";
import {ERC3156} from "./lenders/ERC3156.sol";
import {Loan} from "./lenders/Loan.sol";
import {Morpho} from "./lenders/Morpho.sol";
import {UniswapV3Flash} from "./lenders/UniswapV3Flash.sol";
import {Builder} from "./libraries/Builder.sol";
import {Continuation} from "./libraries/Continuation.sol";
import {Frame} from "./libraries/Frame.sol";
import {Header, Terms} from "./libraries/Header.sol";
import "./libraries/Opcodes.sol";
import {Token} from "./libraries/Token.sol";
import {Watch} from "./libraries/Watch.sol";
import {BalancerV2Swap} from "./venues/BalancerV2Swap.sol";
import {BalancerV3} from "./venues/BalancerV3.sol";
import {Curve} from "./venues/Curve.sol";
import {UniswapV2} from "./venues/UniswapV2.sol";
import {UniswapV3} from "./venues/UniswapV3.sol";
import {UniswapV4} from "./venues/UniswapV4.sol";
import {WrappedCoin} from "./venues/WrappedCoin.sol";

/// @title Streams and callbacks of every kind, read field by field
/// @notice `Executor` has a shorter way for the most frequent ones. What both can read they understand alike.
abstract contract Frames is Roles {
    /// @dev A stream of the operator.
    ///
    ///     header: guards; note balances
    ///     run the operations
    ///     require nobody may call back any more
    ///     pay the builder, require the profit; require that no watched token became less
    function _runStream() internal {
        (Frame memory frame, Terms memory terms) = Header.read();
        uint256 token = frame.token;
        uint256 start = Token.balance(token);
        Watch.begin(terms.watched, terms.count);
        _runOperations(frame);
        if (Continuation.expected() != 0) revert CallbackMissing();
        uint256 end = Token.balance(token);
        if (terms.bps != 0 && end > start) {
            unchecked {
                Builder.pay(end - start, terms.bps, frame);
            }
            end = Token.balance(token);
        }
        unchecked {
            if (end < start || end - start < terms.minProfit) revert ProfitTooSmall(start, end, terms.minProfit);
        }
        Watch.finish(terms.watched, terms.count);
    }

    /// @dev The callback that `committed` stands for, whose caller has been checked.
    ///
    ///     require the bytes that were committed to, and this contract as the initiator where one is named
    ///     a loan:  its own operation comes first
    ///     run the operations
    ///     repay the loan, pay the pool
    function _runCallback(uint256 committed) internal {
        Frame memory frame = Continuation.open(committed);
        uint256 tag = frame.tag;
        uint256 loan = tag & LOAN_MASK;
        uint256 owed;
        if (tag & FLASH_SWAP != 0) UniswapV2.requireInitiator();
        bool lent = loan != NO_LOAN;
        if (lent) {
            loan = (loan >> LOAN_SHIFT) + MORPHO - 1;
            if (loan == AAVE_V3) AaveV3.requireInitiator();
            else if (loan == ERC3156_LOAN) ERC3156.requireInitiator();
            frame.take(HEAD_WIDTH + ADDRESS_WIDTH);
            owed = frame.takeAmount();
        }
        _runOperations(frame);
        if (lent) _repay(loan, frame.token, owed);
        if (tag & (PAYS | DIRECT) != 0) Token.transfer(frame.token, uint160(msg.sender), _asked(tag));
        if (tag & LAYOUT_MASK == LAYOUT_UNLOCK) {
            assembly ("memory-safe") {
                mstore(0x00, 0x20) // an empty `bytes`
                mstore(0x20, 0)
                return(0x00, 0x40)
            }
        }
    }

    /// @dev What a V3 pool asks for of the side that goes in.
    function _asked(uint256 tag) private pure returns (uint256 amount) {
        uint256 at = tag & ZERO_SIDE == 0 ? 0x24 : 0x04;
        assembly ("memory-safe") {
            amount := calldataload(at)
        }
    }

    function _runOperations(Frame memory frame) private {
        uint256 chain;
        while (frame.at < frame.end) {
            uint256 own = frame.at;
            uint256 head = frame.take(HEAD_WIDTH);
            if (head & V2 != 0) {
                _swapV2(head, frame);
            } else if (head & V3 != 0) {
                _swapV3(head, frame);
            } else if (head == V4_SWAP) {
                if (chain == 0) chain = UniswapV4.begin();
                UniswapV4.swap(frame, chain);
            } else if (head == V4_CLOSE) {
                if (chain == 0) revert BadStream();
                UniswapV4.close(frame, chain);
                chain = 0;
            } else if (head >= V4_UNLOCK || (head >= BALANCER_V3_UNLOCK && head <= BALANCER_V3_SETTLE)) {
                _runOnAccount(head, frame);
            } else if (head >= MORPHO) {
                _borrow(head, own, frame);
            } else {
                _runOther(head, frame);
            }
        }
    }

    /// @dev pool(20) amountOut(14) [amountIn(14)]
    function _swapV2(uint256 head, Frame memory frame) private {
        uint256 pool = frame.takeAddress();
        uint256 amountOut = frame.takeAmount();
        if (head & V2_CALLED != 0) {
            UniswapV2.flashSwap(pool, (head / V2_CALLED_ZERO_FOR_ONE) & 1, amountOut, frame);
            return;
        }
        uint256 amountIn = head & V2_PAID == 0 ? 0 : frame.takeAmount();
        uint256 to = frame.receiver(head & TO_MASK);
        if (head & V2_PAID != 0) Token.transfer(frame.token, pool, amountIn);
        UniswapV2.swap(pool, (head / V2_ZERO_FOR_ONE) & 1, amountOut, to);
    }

    /// @dev pool(20) amountIn(14) [length(1)]
    function _swapV3(uint256 head, Frame memory frame) private {
        UniswapV3.Swap memory terms;
        terms.pool = frame.takeAddress();
        terms.amountIn = frame.takeAmount();
        terms.zeroForOne = (head / V3_ZERO_FOR_ONE) & 1;
        terms.token = frame.token;
        terms.tag = (frame.tag & TOKEN_MASK) | LAYOUT_V3;
        terms.from = frame.at;
        terms.end = frame.at;
        if (terms.zeroForOne != 0) terms.tag |= ZERO_SIDE;
        if (head & V3_DIRECT != 0) {
            terms.tag |= DIRECT;
            terms.to = frame.receiver(head & TO_MASK);
        } else {
            if (head & V3_PAYS != 0) terms.tag |= PAYS;
            if (head & V3_CALLED != 0) {
                terms.to = frame.receiver(head & TO_MASK);
                terms.end = frame.end;
                frame.at = frame.end;
            } else {
                uint256 length = frame.take(1);
                terms.from = frame.at;
                terms.end = frame.at + length;
                if (terms.end > frame.end) revert BadStream();
                frame.at = terms.end;
                terms.to = frame.receiver(head & TO_MASK);
            }
        }
        UniswapV3.swap(terms);
    }

    /// @dev Loans: lender(20) amount(14).
    function _borrow(uint256 head, uint256 own, Frame memory frame) private {
        Loan memory loan;
        loan.lender = frame.takeAddress();
        loan.amount = frame.takeAmount();
        loan.own = own;
        loan.tag = (frame.tag & TOKEN_MASK) | ((head - MORPHO + 1) << LOAN_SHIFT);
        frame.at = frame.end;
        if (head == MORPHO) Morpho.borrow(loan, frame);
        else if (head == BALANCER_V2) BalancerV2.borrow(loan, frame);
        else if (head == AAVE_V3) AaveV3.borrow(loan, frame);
        else if (head == ERC3156_LOAN) ERC3156.borrow(loan, frame);
        else if (head == V3_FLASH_0) UniswapV3Flash.borrow(loan, frame, 0);
        else if (head == V3_FLASH_1) UniswapV3Flash.borrow(loan, frame, 1);
        else if (head == DODO_BASE) Dodo.borrow(loan, frame, 0);
        else Dodo.borrow(loan, frame, 1);
    }

    /// @dev Arrange the repayment of a loan.
    function _repay(uint256 loan, uint256 token, uint256 amount) private {
        if (loan == MORPHO) Morpho.repay(token, amount);
        else if (loan == BALANCER_V2) BalancerV2.repay(token, amount);
        else if (loan == AAVE_V3) AaveV3.repay(token, amount);
        else if (loan == ERC3156_LOAN) ERC3156.repay(token, amount);
        else if (loan == V3_FLASH_0) UniswapV3Flash.repay(token, amount, 0);
        else if (loan == V3_FLASH_1) UniswapV3Flash.repay(token, amount, 1);
        else Dodo.repay(token, amount);
    }

    /// @dev Uniswap V4's manager and Balancer V3's vault, which is the caller of the frame once it is unlocked.
    function _runOnAccount(uint256 head, Frame memory frame) private {
        uint256 target = frame.takeAddress(); // a contract, or a token
        if (head == V4_UNLOCK) return UniswapV4.unlock(target, frame);
        if (head == BALANCER_V3_UNLOCK) return BalancerV3.unlock(target, frame);
        uint256 amount = frame.takeAmount();
        if (head == V4_TAKE) return UniswapV4.take(target, amount, frame.takeAddress());
        if (head == BALANCER_V3_TAKE) return BalancerV3.take(target, amount, frame.takeAddress());
        if (head == BALANCER_V3_SWAP) {
            uint256 tokenIn = frame.takeAddress();
            return BalancerV3.swap(target, tokenIn, frame.takeAddress(), amount);
        }
        Watch.requireCompared(target, frame.token);
        if (head == V4_SETTLE) return UniswapV4.settle(target, amount);
        if (head == BALANCER_V3_SETTLE) return BalancerV3.settle(target, amount);
        revert BadStream();
    }

    /// @dev Payments and pools that pull their input: token, pool or vault(20) amount(14) ...
    function _runOther(uint256 head, Frame memory frame) private {
        uint256 target = frame.takeAddress();
        uint256 amount = frame.takeAmount();
        if (head == PAY || head == PAY_ADDRESS) {
            Watch.requireCompared(target, frame.token);
            uint256 to = head == PAY ? frame.takeReceiver() : frame.takeAddress();
            Token.transfer(target, to, amount);
        } else if (head == WRAP) {
            Watch.requireCompared(0, frame.token);
            WrappedCoin.deposit(target, amount);
        } else if (head == UNWRAP) {
            Watch.requireCompared(target, frame.token);
            WrappedCoin.withdraw(target, amount);
        } else if (head == V3_TOKEN) {
            _swapForToken(target, amount, frame);
        } else if (head == CURVE_INT128 || head == CURVE_UINT256) {
            uint256 token = frame.takeAddress();
            Watch.requireCompared(token, frame.token);
            uint256 i = frame.take(1);
            Curve.exchange(head == CURVE_INT128 ? Curve.INT128 : Curve.UINT256, target, token, i, frame.take(1), amount);
        } else if (head == CURVE_RECEIVED) {
            uint256 i = frame.take(1);
            uint256 j = frame.take(1);
            Curve.exchangeReceived(target, i, j, amount, frame.takeReceiver());
        } else if (head == BALANCER_V2_SWAP) {
            BalancerV2Swap.Swap memory terms;
            terms.vault = target;
            terms.amountIn = amount;
            terms.poolId = frame.take(32);
            terms.tokenIn = frame.takeAddress();
            terms.tokenOut = frame.takeAddress();
            terms.to = frame.takeReceiver();
            Watch.requireCompared(terms.tokenIn, frame.token);
            BalancerV2Swap.swap(terms);
        } else {
            revert BadStream();
        }
    }

    /// @dev A V3 pool that its callback pays in another token than the profit token: token(20) zeroForOne(1) to(1).
    function _swapForToken(uint256 pool, uint256 amountIn, Frame memory frame) private {
        UniswapV3.Swap memory terms;
        terms.pool = pool;
        terms.amountIn = amountIn;
        terms.token = frame.takeAddress();
        Watch.requireCompared(terms.token, frame.token);
        terms.zeroForOne = frame.take(1);
        if (terms.zeroForOne > 1) revert BadStream();
        terms.to = frame.takeReceiver();
        terms.tag = LAYOUT_V3 | DIRECT | (terms.zeroForOne == 0 ? 0 : ZERO_SIDE);
        UniswapV3.swap(terms);
    }
}
