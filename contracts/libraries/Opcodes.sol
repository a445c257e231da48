// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

// The operations of a stream. `keeper/execution/opcodes.py` is the same table for the keeper; a test holds them together.
// Bits of a head that its operation has no use for are not looked at.

// ------------------------------------------------------------------ swaps through V2 and V3 pools, most frequent first
//
//     1 paid zeroForOne called 0 0 to(2)        pool(20) amountOut(14) [amountIn(14)]
//     1 1 0 1 zeroForOne 0 0 0                  pool(20) amountOut(14)                a flash swap
//     0 1 direct called pays zeroForOne to(2)   pool(20) amountIn(14) [length(1)]
//
// What is `called` runs all that is left of its frame in its callback. A V3 pool that is neither direct nor called runs
// the next `length` bytes there, and the frame goes on behind them. Where a V3 pool is paid by its callback, that is the
// profit token, as much as it asks for of the side that goes in.

uint256 constant V2 = 0x80;
uint256 constant V2_PAID = 0x40; // this contract pays amountIn, in the profit token, before the swap
uint256 constant V2_ZERO_FOR_ONE = 0x20;
uint256 constant V2_CALLED = 0x10; // a flash swap: it delivers to this contract; its direction is another bit
uint256 constant V2_CALLED_ZERO_FOR_ONE = 0x08;

uint256 constant V3 = 0x40;
uint256 constant V3_DIRECT = 0x20; // its callback pays it, and does nothing else
uint256 constant V3_CALLED = 0x10; // unless it is direct
uint256 constant V3_PAYS = 0x08; // its callback pays it at its end
uint256 constant V3_ZERO_FOR_ONE = 0x04;

uint256 constant FIRST_MASK = 0x70; // the head of a pool that calls back and may begin a stream of the short way
uint256 constant FIRST = 0x50;

// Where a pool delivers.
uint256 constant TO_MASK = 0x03;
uint256 constant TO_CALLER = 0x00; // the contract in whose callback the operation runs; at the entry, this contract
uint256 constant TO_NEXT = 0x01; // the pool of the operation behind this one
uint256 constant TO_SELF = 0x02; // this contract

// ------------------------------------------------------------------ all others: head(1), then
//
// `to` is a byte: one of the three above.

uint256 constant PAY = 0x01; // token(20) amount(14) to(1)
uint256 constant PAY_ADDRESS = 0x02; // token(20) amount(14) receiver(20)
uint256 constant WRAP = 0x03; // coin(20) amount(14)
uint256 constant UNWRAP = 0x04; // coin(20) amount(14)
uint256 constant V3_TOKEN = 0x05; // pool(20) amountIn(14) token(20) zeroForOne(1) to(1): direct, paid in that token
uint256 constant CURVE_INT128 = 0x06; // pool(20) amountIn(14) token(20) i(1) j(1)
uint256 constant CURVE_UINT256 = 0x07; // pool(20) amountIn(14) token(20) i(1) j(1)
uint256 constant CURVE_RECEIVED = 0x08; // pool(20) amountIn(14) i(1) j(1) to(1): its input lies there
uint256 constant BALANCER_V2_SWAP = 0x09; // vault(20) amountIn(14) poolId(32) tokenIn(20) tokenOut(20) to(1)

// Loans of the profit token, called back: lender(20) amount(14).
uint256 constant MORPHO = 0x20;
uint256 constant BALANCER_V2 = 0x21;
uint256 constant AAVE_V3 = 0x22;
uint256 constant ERC3156_LOAN = 0x23;
uint256 constant V3_FLASH_0 = 0x24; // of a pool whose token0 it is
uint256 constant V3_FLASH_1 = 0x25;
uint256 constant DODO_BASE = 0x26;
uint256 constant DODO_QUOTE = 0x27;

// Contracts that keep accounts until they are locked again. An operation inside names none: it is the caller.
uint256 constant V4_UNLOCK = 0x28; // manager(20), called back
uint256 constant V4_UNLOCK_ETHEREUM = 0x29; // nothing: the manager of Ethereum, called back for V4_SWAP alone, and closed at the end
uint256 constant V4_SWAP = 0x2a; // flags(1) fee(3) tickSpacing(3) [currency0(20) currency1(20)] [hooks(20)] [amountIn(14)]
uint256 constant V4_CLOSE = 0x2b; // takes what the chain of swaps before it leaves of the profit token
uint256 constant V4_TAKE = 0x2c; // currency(20) amount(14) receiver(20)
uint256 constant V4_SETTLE = 0x2d; // currency(20) amount(14)
uint256 constant BALANCER_V3_UNLOCK = 0x0a; // vault(20), called back
uint256 constant BALANCER_V3_SWAP = 0x0b; // pool(20) amountIn(14) tokenIn(20) tokenOut(20)
uint256 constant BALANCER_V3_TAKE = 0x0c; // token(20) amount(14) receiver(20)
uint256 constant BALANCER_V3_SETTLE = 0x0d; // token(20) amount(14)

uint256 constant V4_ZERO_FOR_ONE = 0x01;
uint256 constant V4_SAME = 0x02; // the currencies of the swap before
uint256 constant V4_CHAINED = 0x04; // takes in what the swap before paid out
uint256 constant V4_HOOKED = 0x08;

// ------------------------------------------------------------------ widths, bytes

uint256 constant HEAD_WIDTH = 1;
uint256 constant ADDRESS_WIDTH = 20;
uint256 constant AMOUNT_WIDTH = 14;
uint256 constant HEADER_WIDTH = 8;
uint256 constant TARGET_WIDTH = 35; // head, address, amount

// ------------------------------------------------------------------ header
//
//     lastBlock(4) shift(1) mantissa(3)    minProfit = mantissa << shift, of WETH on Ethereum; of the coin itself where the
//                                          first operation is V4_UNLOCK_ETHEREUM
//     0(4) shift(1) mantissa(3) flags(1) lastBlock(4) [parent(4)] [bps(2)] [token(20)] [count(1) watched(20)...]

uint256 constant HAS_PARENT = 0x80;
uint256 constant HAS_BUILDER = 0x40;
uint256 constant HAS_WATCHED = 0x20;
uint256 constant TOKEN_NUMBER = 0x07;
uint256 constant BPS = 10_000;

// ------------------------------------------------------------------ tags: what is expected, and of which kind a frame is
//
// The layout is the number of head words before the length of the `bytes` argument of a callback, so that the
// continuation starts at byte `4 + 32 * layout` of the calldata. Zero stands for the entry of the operator.

uint256 constant LAYOUT_MASK = 0x000f;
uint256 constant LAYOUT_ENTRY = 0;
uint256 constant LAYOUT_UNLOCK = 2; // (bytes)
uint256 constant LAYOUT_MORPHO = 3; // (uint256 assets, bytes)
uint256 constant LAYOUT_V3 = 4; // (int256 amount0, int256 amount1, bytes)
uint256 constant LAYOUT_V2 = 5; // (address sender, uint256 amount0, uint256 amount1, bytes)
uint256 constant LAYOUT_AAVE_V3 = 6; // (address asset, uint256 amount, uint256 premium, address initiator, bytes)
uint256 constant LAYOUT_BALANCER_V2 = 11; // (IERC20[1] tokens, uint256[1] amounts, uint256[1] feeAmounts, bytes)

// Wrapped coins have a number, so that a stream need not spell them out; zero stands for a token that it does.
uint256 constant TOKEN_SHIFT = 4;
uint256 constant TOKEN_MASK = 0x0070;
uint256 constant NUMBER_ETHEREUM = 1;
uint256 constant NUMBER_OP_STACK = 2;
uint256 constant NUMBER_ARBITRUM = 3;
uint256 constant NUMBER_POLYGON = 4;
uint256 constant NUMBER_NATIVE = 5; // the chain's coin itself, under the zero address

uint256 constant SHORT_FRAME = 0x0080; // the callback of a V3 pool, read by the short way
uint256 constant DIRECT = 0x0100; // the caller is paid, and nothing else
uint256 constant FLASH_SWAP = 0x0200; // the callback names an initiator first, which has to be this contract
uint256 constant LOAN_SHIFT = 10; // of a loan: its number from MORPHO on, which has 1
uint256 constant LOAN_MASK = 0x3c00;
uint256 constant NO_LOAN = 0x3c00; // a frame that `Frames` reads, and no loan
uint256 constant KIND_MASK = 0x3f00; // of the other frames of the short way
uint256 constant ZERO_SIDE = 0x4000; // of the caller's tokens, token0 goes in
uint256 constant PAYS = 0x8000; // the caller is paid at the end

// Tags of the short way, whose profit token is WETH on Ethereum.
uint256 constant SHORT_V3 = 0x0094;
uint256 constant SHORT_DIRECT = 0x0110;
uint256 constant SHORT_FLASH_SWAP = 0x0215;
uint256 constant SHORT_V4 = 0x0352; // both direct and a flash swap, which nothing else is; the coin itself
uint256 constant SHORT_V4_KIND = 0x0300;
uint256 constant V3_SIDE_AND_PAYS = 0xc000; // of a tag, 236 bits below the flags of a head

uint256 constant ETHEREUM_WETH = 0x00C02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2;
uint256 constant OP_STACK_WETH = 0x004200000000000000000000000000000000000006;
uint256 constant ARBITRUM_WETH = 0x0082aF49447D8a07e3bd95BD0d56f35241523fBab1;
uint256 constant POLYGON_WPOL = 0x000d500B1d8E8eF31E21C99d1Db9A6444d3ADf1270;
uint256 constant ETHEREUM_POOL_MANAGER = 0x00000000000004444c5dc75cB358380D2e3dE08A90;
