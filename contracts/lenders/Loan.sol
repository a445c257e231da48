// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @dev A loan of the profit token, as its operation says.
/// @param lender Whom to call.
/// @param amount Raw units.
/// @param own Position of the operation.
/// @param tag The opcode, in the bits that a tag has for it, and the number of the token.
///
/// The continuation of a loan starts with the loan's own operation, so that what is repaid is the amount that was
/// committed, whatever the lender says in its callback:
///
///     continuation = [token(20)] | head(1) lender(20) amount(14) | rest
struct Loan {
    uint256 lender;
    uint256 amount;
    uint256 own;
    uint256 tag;
}
