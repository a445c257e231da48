// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

// The operations of a stream. `keeper/execution/opcodes.py` is the same table for the keeper; a test holds them together.
// The first byte is the head: the opcode in its five high bits, flags in its three low bits.
//
//     UNISWAP_V2        head(1) pool(20) [to(20)] amountOut(14)
//     UNISWAP_V3        head(1) pool(20) [to(20)] amountIn(14)     called back
//     UNISWAP_V2_FLASH  head(1) pool(20) amountOut(14)             called back; delivers to this contract
//     PAY_NEXT          head(1) amount(14)                         to the pool of the next operation
//     PAY_CALLER        head(1)                                    to the calling V3 pool, what it asks for
//     loans             head(1) lender(20) amount(14)              called back
//
// What follows an operation that is called back is its continuation: it runs inside the callback.

// ------------------------------------------------------------------ opcodes

uint256 constant UNISWAP_V2 = 0x01;
uint256 constant UNISWAP_V3 = 0x02;
uint256 constant UNISWAP_V2_FLASH = 0x03;
uint256 constant PAY_NEXT = 0x04;
uint256 constant PAY_CALLER = 0x05;
uint256 constant MORPHO = 0x10;
uint256 constant BALANCER_V2 = 0x11;
uint256 constant AAVE_V3 = 0x12;

// The opcodes from 1 to here are swaps: they have a pool, and the flags below.
uint256 constant LAST_SWAP = UNISWAP_V2_FLASH;

// ------------------------------------------------------------------ flags of a swap

uint256 constant FLAG_BITS = 3;

// Where the pool delivers, in the two low bits.
uint256 constant TO_MASK = 0x03;
uint256 constant TO_SELF = 0x00; // this contract
uint256 constant TO_NEXT = 0x01; // the pool of the next operation
uint256 constant TO_CALLER = 0x02; // the contract in whose callback the operation runs
uint256 constant TO_EXPLICIT = 0x03; // an address in the operation

// The pool's token0 goes in and its token1 comes out.
uint256 constant ZERO_FOR_ONE = 0x04;

// ------------------------------------------------------------------ widths, bytes

uint256 constant HEAD_WIDTH = 1;
uint256 constant ADDRESS_WIDTH = 20;
uint256 constant AMOUNT_WIDTH = 14;
uint256 constant TARGET_WIDTH = 35; // head, address, amount: a swap without [to], or a loan

// ------------------------------------------------------------------ callback layouts

// The number of head words before the length of the `bytes` argument of a callback, so that the continuation starts at
// byte `4 + 32 * layout` of the calldata. Zero stands for the entry of the operator.

uint256 constant LAYOUT_ENTRY = 0;
uint256 constant LAYOUT_MORPHO = 3; // (uint256 assets, bytes)
uint256 constant LAYOUT_V3 = 4; // (int256 amount0, int256 amount1, bytes)
uint256 constant LAYOUT_V2 = 5; // (address sender, uint256 amount0, uint256 amount1, bytes)
uint256 constant LAYOUT_AAVE_V3 = 6; // (address asset, uint256 amount, uint256 premium, address initiator, bytes)
uint256 constant LAYOUT_BALANCER_V2 = 11; // (IERC20[1] tokens, uint256[1] amounts, uint256[1] feeAmounts, bytes)
