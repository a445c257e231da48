// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

// The operations of a stream. `keeper/execution/opcodes.py` is the same table for the keeper; a test holds them together.
// The first byte is the head: the opcode in its five high bits, flags in its three low bits.
//
//     UNISWAP_V2        head(1) pool(20) [to(20)] amountOut(14)               its input already lies in the pool
//     UNISWAP_V2_PAID   head(1) pool(20) [to(20)] amountOut(14) amountIn(14)  is paid its input before
//     UNISWAP_V3        head(1) pool(20) amountIn(14)                         called back
//     UNISWAP_V3_PAID   head(1) pool(20) amountIn(14)                         called back; is paid at the end of that
//     UNISWAP_V2_FLASH  head(1) pool(20) amountOut(14)                        called back; delivers to this contract
//     loans             head(1) lender(20) amount(14)                         called back
//
// What follows an operation that is called back is its continuation: it runs inside the callback.

// ------------------------------------------------------------------ opcodes

uint256 constant UNISWAP_V2 = 0x01;
uint256 constant UNISWAP_V3 = 0x02;
uint256 constant UNISWAP_V2_FLASH = 0x03;
uint256 constant UNISWAP_V2_PAID = 0x09;
uint256 constant UNISWAP_V3_PAID = 0x0a;
uint256 constant MORPHO = 0x10;
uint256 constant BALANCER_V2 = 0x11;
uint256 constant AAVE_V3 = 0x12;

// Heads of swaps that another operation may deliver to: UNISWAP_V2, UNISWAP_V3 and UNISWAP_V2_FLASH with any flags.
uint256 constant FIRST_SWAP_HEAD = 0x08;
uint256 constant SWAP_HEADS = 0x18;
uint256 constant FLASH_HEAD = 0x18;

// A swap that is paid by this contract differs in one bit. With it and the flags masked, heads tell V2 from V3.
uint256 constant PAID = 0x40;
uint256 constant KIND_MASK = 0xb8;
uint256 constant FIRST_V3_HEAD = 0x10;

// ------------------------------------------------------------------ flags of a swap

uint256 constant FLAG_BITS = 3;

// Where the pool delivers, in the two low bits. The lowest one tells that it is an address of the stream.
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
uint256 constant OPERAND_AT = 21; // head and address
uint256 constant LAST_BLOCK_MASK = 0x0fffffff;
uint256 constant TARGET_WIDTH = 35; // head, address, amount: a swap without [to], or a loan

// ------------------------------------------------------------------ callback layouts

// The number of head words before the length of the `bytes` argument of a callback, so that the continuation starts at
// byte `4 + 32 * layout` of the calldata. Zero stands for the entry of the operator.

uint256 constant LAYOUT_MASK = 0x0f;
uint256 constant PAYS = 0x80; // above layout and token: the calling pool is paid at the end
uint256 constant LAYOUT_ENTRY = 0;
uint256 constant LAYOUT_MORPHO = 3; // (uint256 assets, bytes)
uint256 constant LAYOUT_V3 = 4; // (int256 amount0, int256 amount1, bytes)
uint256 constant LAYOUT_V2 = 5; // (address sender, uint256 amount0, uint256 amount1, bytes)
uint256 constant LAYOUT_AAVE_V3 = 6; // (address asset, uint256 amount, uint256 premium, address initiator, bytes)
uint256 constant LAYOUT_BALANCER_V2 = 11; // (IERC20[1] tokens, uint256[1] amounts, uint256[1] feeAmounts, bytes)

// ------------------------------------------------------------------ profit tokens

// Wrapped coins have a number, so that a stream need not spell them out. It stands above the layout in the tag of a
// frame; zero stands for a token that the stream names itself.

uint256 constant TOKEN_IN_HEADER = 120; // bits above those of a tag
uint256 constant TOKEN_MASK = 0x70;
uint256 constant TOKEN_ETHEREUM = 0x10;
uint256 constant TOKEN_OP_STACK = 0x20;
uint256 constant TOKEN_ARBITRUM = 0x30;
uint256 constant TOKEN_POLYGON = 0x40;

uint256 constant ETHEREUM_WETH = 0x00C02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2;
uint256 constant OP_STACK_WETH = 0x004200000000000000000000000000000000000006;
uint256 constant ARBITRUM_WETH = 0x0082aF49447D8a07e3bd95BD0d56f35241523fBab1;
uint256 constant POLYGON_WPOL = 0x000d500B1d8E8eF31E21C99d1Db9A6444d3ADf1270;
