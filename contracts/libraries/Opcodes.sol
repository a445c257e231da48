// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

// The operations of a stream. `keeper/execution/opcodes.py` is the same table for the keeper; a test holds them together.
//
//     UNISWAP_V2  opcode(1) flags(1) pool(20) [to(20)] amountOut(14)
//     UNISWAP_V3  opcode(1) flags(1) pool(20) [to(20)] amountIn(14)
//     PAY         opcode(1) flags(1) [to(20)] [amount(14)]
//     loans       opcode(1) flags(1) lender(20) amount(14)
//
// What follows an operation that is called back is its continuation: it runs inside the callback.

// ------------------------------------------------------------------ opcodes

uint256 constant UNISWAP_V2 = 0x01;
uint256 constant UNISWAP_V3 = 0x02;
uint256 constant PAY = 0x03;
uint256 constant MORPHO = 0x10;
uint256 constant BALANCER_V2 = 0x11;
uint256 constant AAVE_V3 = 0x12;

// ------------------------------------------------------------------ flags

// Where the output or payment goes, in the two low bits.
uint256 constant TO_MASK = 0x03;
uint256 constant TO_SELF = 0x00; // this contract
uint256 constant TO_NEXT = 0x01; // the pool of the next operation
uint256 constant TO_CALLER = 0x02; // the pool in whose callback the operation runs
uint256 constant TO_EXPLICIT = 0x03; // an address in the operation

// The pool's token0 goes in and its token1 comes out.
uint256 constant ZERO_FOR_ONE = 0x04;
// Uniswap V2: pay out first and run the rest of the stream in the callback.
uint256 constant CALL_BACK = 0x08;
// PAY: what the calling V3 pool asks for, instead of an amount in the operation.
uint256 constant AS_ASKED = 0x10;

// ------------------------------------------------------------------ widths, bytes

uint256 constant ADDRESS_WIDTH = 20;
uint256 constant AMOUNT_WIDTH = 14;
uint256 constant HEAD_WIDTH = 2; // opcode, flags

// ------------------------------------------------------------------ callback layouts

// The number of head words before the length of the `bytes` argument of a callback, so that the continuation starts at
// byte `4 + 32 * layout` of the calldata. Zero stands for the entry of the operator.

uint256 constant LAYOUT_ENTRY = 0;
uint256 constant LAYOUT_MORPHO = 3; // (uint256 assets, bytes)
uint256 constant LAYOUT_V3 = 4; // (int256 amount0, int256 amount1, bytes)
uint256 constant LAYOUT_V2 = 5; // (address sender, uint256 amount0, uint256 amount1, bytes)
uint256 constant LAYOUT_AAVE_V3 = 6; // (address asset, uint256 amount, uint256 premium, address initiator, bytes)
uint256 constant LAYOUT_BALANCER_V2 = 11; // (IERC20[1] tokens, uint256[1] amounts, uint256[1] feeAmounts, bytes)
