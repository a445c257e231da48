// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Frame} from "../libraries/Frame.sol";
import {Continuation} from "../libraries/Continuation.sol";
import {LAYOUT_UNLOCK, TOKEN_MASK, V4_CHAINED, V4_HOOKED, V4_SAME, V4_ZERO_FOR_ONE} from "../libraries/Opcodes.sol";
import {Token} from "../libraries/Token.sol";
import {HIGHEST_PRICE, LOWEST_PRICE} from "./UniswapV3.sol";

/// @title The pool manager of Uniswap V4, which keeps accounts until it is locked again; loans are free
/// @notice A chain of swaps leaves no word of a step to the next but the two it needs: the calldata of a swap stays in memory,
/// for the currencies of the next one, and behind it what the swap paid out and what the chain leaves of the profit token.
library UniswapV4 {
    uint256 private constant PAID_OUT = 0x160;
    uint256 private constant LEFT = 0x180;
    uint256 private constant CHAIN_SIZE = 0x1a0;

    /// @dev Unlock, and run what is left of the frame in the callback.
    ///
    ///     memory = unlock.selector | 0x20 | length | continuation
    ///     expect the manager to call back with the continuation
    ///     call the manager, pass on its revert data
    function unlock(uint256 manager, Frame memory frame) internal {
        uint256 buffer;
        assembly ("memory-safe") {
            buffer := mload(0x40)
        }
        uint256 tag = (frame.tag & TOKEN_MASK) | LAYOUT_UNLOCK;
        uint256 length = Continuation.expect(manager, buffer + 0x60, frame.token, frame.at, frame.end, tag);
        frame.at = frame.end;
        assembly ("memory-safe") {
            mstore(buffer, 0x48c89491) // unlock(bytes)
            mstore(add(buffer, 0x20), 0x20)
            mstore(add(buffer, 0x40), length)
            if iszero(call(gas(), manager, 0, add(buffer, 0x1c), add(0x44, length), 0x00, 0x00)) {
                returndatacopy(buffer, 0, returndatasize())
                revert(buffer, returndatasize())
            }
        }
    }

    /// @dev Memory for a chain of swaps, all zero.
    function begin() internal pure returns (uint256 chain) {
        assembly ("memory-safe") {
            chain := mload(0x40)
            mstore(0x40, add(chain, CHAIN_SIZE))
            calldatacopy(chain, calldatasize(), CHAIN_SIZE)
            mstore(chain, 0xf3cd914c) // swap((address,address,uint24,int24,address),(bool,int256,uint160),bytes)
            mstore(add(chain, 0x120), 0x120)
        }
    }

    /// @dev Swap on account.
    ///
    ///     memory = swap.selector | currency0 | currency1 | fee | tickSpacing | hooks | zeroForOne | -amountIn
    ///            | price limit | 0x120 | 0 | paid out | left
    ///     call the manager, which is the caller; pass on its revert data
    ///     paid out, left += what the manager returns
    function swap(Frame memory frame, uint256 chain) internal {
        uint256 flags = frame.take(1);
        uint256 fee = frame.take(3);
        uint256 spacing = frame.take(3);
        if (flags & V4_SAME == 0) {
            uint256 currency0 = frame.takeAddress();
            uint256 currency1 = frame.takeAddress();
            assembly ("memory-safe") {
                mstore(add(chain, 0x20), currency0)
                mstore(add(chain, 0x40), currency1)
            }
        }
        uint256 hooks = flags & V4_HOOKED == 0 ? 0 : frame.takeAddress();
        uint256 amountIn;
        if (flags & V4_CHAINED == 0) {
            amountIn = frame.takeAmount();
        } else {
            assembly ("memory-safe") {
                amountIn := mload(add(chain, PAID_OUT))
            }
        }
        uint256 token = frame.token;
        assembly ("memory-safe") {
            let zeroForOne := and(flags, V4_ZERO_FOR_ONE)
            mstore(add(chain, 0x60), fee)
            mstore(add(chain, 0x80), signextend(2, spacing))
            mstore(add(chain, 0xa0), hooks)
            mstore(add(chain, 0xc0), zeroForOne)
            mstore(add(chain, 0xe0), sub(0, amountIn))
            mstore(add(chain, 0x100), xor(HIGHEST_PRICE, mul(zeroForOne, xor(HIGHEST_PRICE, LOWEST_PRICE))))
            if iszero(call(gas(), caller(), 0, add(chain, 0x1c), 0x144, 0x00, 0x20)) {
                let buffer := mload(0x40)
                returndatacopy(buffer, 0, returndatasize())
                revert(buffer, returndatasize())
            }
            let amount0 := sar(128, mload(0x00))
            let amount1 := signextend(15, mload(0x00))
            mstore(add(chain, PAID_OUT), xor(amount0, mul(zeroForOne, xor(amount0, amount1))))
            let left := mload(add(chain, LEFT))
            if eq(mload(add(chain, 0x20)), token) { left := add(left, amount0) }
            if eq(mload(add(chain, 0x40)), token) { left := add(left, amount1) }
            mstore(add(chain, LEFT), left)
        }
    }

    /// @dev Take what the chain leaves of the profit token; a chain that leaves a debt makes the manager revert.
    function close(Frame memory frame, uint256 chain) internal {
        uint256 amount;
        assembly ("memory-safe") {
            amount := mload(add(chain, LEFT))
        }
        take(frame.token, amount, uint160(address(this)));
    }

    /// @dev manager.take(currency, to, amount)
    function take(uint256 currency, uint256 amount, uint256 to) internal {
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore(buffer, 0x0b0d9c09) // take(address,address,uint256)
            mstore(add(buffer, 0x20), currency)
            mstore(add(buffer, 0x40), to)
            mstore(add(buffer, 0x60), amount)
            if iszero(call(gas(), caller(), 0, add(buffer, 0x1c), 0x64, 0x00, 0x00)) {
                returndatacopy(buffer, 0, returndatasize())
                revert(buffer, returndatasize())
            }
        }
    }

    /// @dev Pay what is owed of a currency.
    ///
    ///     the chain's coin:  manager.settle{value: amount}()
    ///     a token:           manager.sync(token); token.transfer(manager, amount); manager.settle()
    function settle(uint256 currency, uint256 amount) internal {
        if (currency != 0) {
            _call(0xa5841194, currency, 0x24, 0); // sync(address)
            Token.transfer(currency, uint160(msg.sender), amount);
            amount = 0;
        }
        _call(0x11da60b4, 0, 0x04, amount); // settle()
    }

    function _call(uint256 selector, uint256 argument, uint256 size, uint256 value) private {
        assembly ("memory-safe") {
            mstore(0x00, selector)
            mstore(0x20, argument)
            if iszero(call(gas(), caller(), value, 0x1c, size, 0x00, 0x00)) {
                let buffer := mload(0x40)
                returndatacopy(buffer, 0, returndatasize())
                revert(buffer, returndatasize())
            }
        }
    }
}
