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

/// @title Runs operator streams; see `IExecutor` for their form
contract Executor is IExecutor {
    /// @inheritdoc IExecutor
    address public immutable operator;

    /// @inheritdoc IExecutor
    address public immutable treasury;

    constructor(address operator_, address treasury_) {
        if (operator_ == address(0) || treasury_ == address(0)) revert ZeroAddress();
        operator = operator_;
        treasury = treasury_;
    }

    // ------------------------------------------------------------------ entry points

    /// @inheritdoc IExecutor
    function sweep(address token, uint256 amount) external {
        if (msg.sender != treasury) revert Unauthorized();
        if (token == address(0)) {
            (bool ok,) = msg.sender.call{value: amount}("");
            if (!ok) revert TokenFailed();
        } else {
            Token.transfer(token, msg.sender, amount);
        }
    }

    /// @notice The operator's streams, and the callbacks that they bring about.
    fallback() external payable {
        if (msg.sender == operator) _enter();
        else _resume();
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
            minProfit := shr(128, calldataload(0))
            guard := shr(224, calldataload(16))
        }
        if (block.number > guard & 0x7fffffff) revert Expired();
        if (guard >> 31 != 0) {
            uint256 parent;
            assembly ("memory-safe") {
                parent := shr(224, calldataload(20))
            }
            if (uint256(blockhash(block.number - 1)) >> 224 != parent) revert WrongParent();
            at = 24;
        }
        address token;
        assembly ("memory-safe") {
            token := shr(96, calldataload(at))
            at := add(at, 20)
        }
        if (at >= msg.data.length) revert BadStream();

        uint256 start = Token.balance(token);
        _run(at, msg.data.length, token, LAYOUT_ENTRY);
        Continuation.requireNone();
        uint256 end = Token.balance(token);
        unchecked {
            if (end < start || end - start < minProfit) revert ProfitTooSmall(start, end, minProfit);
        }
    }

    /// @dev Authenticate a callback, run its continuation and, for a loan, arrange the repayment.
    function _resume() private {
        (uint256 start, uint256 length, uint256 layout) = Continuation.open();
        address token;
        uint256 at;
        uint256 end;
        assembly ("memory-safe") {
            token := shr(96, calldataload(start))
            at := add(start, 20)
            end := add(start, length)
        }
        if (layout == LAYOUT_V3) {
            _run(at, end, token, layout);
        } else if (layout == LAYOUT_V2) {
            UniswapV2.requireInitiator();
            _run(at, end, token, layout);
        } else {
            if (layout == LAYOUT_AAVE_V3) AaveV3.requireInitiator();
            unchecked {
                _run(at + Loan.OPERATION_WIDTH, end, token, layout);
            }
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
    function _run(uint256 at, uint256 end, address token, uint256 layout) private {
        unchecked {
            while (at < end) {
                (uint256 opcode, uint256 flags) = _head(at);
                if (opcode == UNISWAP_V2) {
                    if (flags > (TO_MASK | ZERO_FOR_ONE | CALL_BACK)) revert BadStream();
                    (address pool, uint256 amount, address to, uint256 next) = _swap(at, end, flags, layout);
                    bool zeroForOne = flags & ZERO_FOR_ONE != 0;
                    if (flags & CALL_BACK != 0) {
                        UniswapV2.flashSwap(pool, zeroForOne, amount, to, token, next, end);
                        return;
                    }
                    UniswapV2.swap(pool, zeroForOne, amount, to);
                    at = next;
                } else if (opcode == UNISWAP_V3) {
                    if (flags > (TO_MASK | ZERO_FOR_ONE)) revert BadStream();
                    (address pool, uint256 amount, address to, uint256 next) = _swap(at, end, flags, layout);
                    UniswapV3.swap(pool, flags & ZERO_FOR_ONE != 0, amount, to, token, next, end);
                    return;
                } else if (opcode == PAY) {
                    at = _pay(at, end, flags, token, layout);
                } else {
                    _borrow(opcode, flags, at, end, token);
                    return;
                }
            }
        }
    }

    /// @dev The operands of a swap at `at`: pool(20) [to(20)] amount(14).
    /// @return pool The pool.
    /// @return amount Raw units; of the output for V2, of the input for V3.
    /// @return to Where the pool delivers.
    /// @return next Position of the operation behind it.
    function _swap(uint256 at, uint256 end, uint256 flags, uint256 layout)
        private
        view
        returns (address pool, uint256 amount, address to, uint256 next)
    {
        unchecked {
            assembly ("memory-safe") {
                pool := shr(96, calldataload(add(at, 2)))
                amount := shr(144, calldataload(add(at, 22)))
            }
            next = at + HEAD_WIDTH + ADDRESS_WIDTH + AMOUNT_WIDTH;
            uint256 mode = flags & TO_MASK;
            if (mode == TO_SELF) {
                to = address(this);
            } else if (mode == TO_NEXT) {
                return (pool, amount, _poolAt(next, end), next);
            } else if (mode == TO_CALLER) {
                if (layout == LAYOUT_ENTRY) revert BadStream();
                to = msg.sender;
            } else {
                assembly ("memory-safe") {
                    to := shr(96, calldataload(add(at, 22)))
                    amount := shr(144, calldataload(add(at, 42)))
                }
                next += ADDRESS_WIDTH;
            }
            if (next > end) revert BadStream();
        }
    }

    /// @dev Pay the profit token to a pool: [amount(14)].
    /// @return next Position of the operation behind it.
    function _pay(uint256 at, uint256 end, uint256 flags, address token, uint256 layout) private returns (uint256 next) {
        unchecked {
            uint256 amount;
            if (flags & AS_ASKED != 0) {
                if (layout != LAYOUT_V3) revert BadStream();
                amount = UniswapV3.asked();
                next = at + HEAD_WIDTH;
            } else {
                assembly ("memory-safe") {
                    amount := shr(144, calldataload(add(at, 2)))
                }
                next = at + HEAD_WIDTH + AMOUNT_WIDTH;
            }
            if (next > end) revert BadStream();
            uint256 mode = flags & ~AS_ASKED;
            address to;
            if (mode == TO_CALLER) {
                if (layout == LAYOUT_ENTRY) revert BadStream();
                to = msg.sender;
            } else if (mode == TO_NEXT) {
                to = _poolAt(next, end);
            } else {
                revert BadStream();
            }
            Token.transfer(token, to, amount);
        }
    }

    /// @dev Take a loan of the profit token: lender(20) amount(14).
    function _borrow(uint256 opcode, uint256 flags, uint256 at, uint256 end, address token) private {
        unchecked {
            if (flags != 0 || at + Loan.OPERATION_WIDTH > end) revert BadStream();
            address lender;
            uint256 amount;
            assembly ("memory-safe") {
                lender := shr(96, calldataload(add(at, 2)))
                amount := shr(144, calldataload(add(at, 22)))
            }
            if (opcode == MORPHO) Morpho.borrow(lender, amount, token, at, end);
            else if (opcode == BALANCER_V2) BalancerV2.borrow(lender, amount, token, at, end);
            else if (opcode == AAVE_V3) AaveV3.borrow(lender, amount, token, at, end);
            else revert BadStream();
        }
    }

    /// @dev The pool of the swap at `at`, which has to lie within the stream.
    function _poolAt(uint256 at, uint256 end) private pure returns (address pool) {
        unchecked {
            (uint256 opcode,) = _head(at);
            if (opcode - 1 > UNISWAP_V3 - 1 || at + HEAD_WIDTH + ADDRESS_WIDTH > end) revert BadStream();
            assembly ("memory-safe") {
                pool := shr(96, calldataload(add(at, 2)))
            }
        }
    }

    /// @dev opcode(1) flags(1).
    function _head(uint256 at) private pure returns (uint256 opcode, uint256 flags) {
        assembly ("memory-safe") {
            let word := calldataload(at)
            opcode := byte(0, word)
            flags := byte(1, word)
        }
    }
}
